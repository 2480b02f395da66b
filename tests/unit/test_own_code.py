import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.models.heads import ClassHead
from smart_retail.models.load import load_model
from smart_retail.own_code import check_imported, find_in_working_directory, import_own, look_up, own_class, own_modules
from smart_retail.training.module import FaceAttributeModule
from smart_retail.training.replay import restore
from tests.helpers.batches import face_batch

ROOT = Path(__file__).parents[2]


class Softer(ClassHead):
    """A head of one's own."""


class Weighing(FaceAttributeModule):
    """A module of one's own, with a setting of its own."""

    def __init__(self, factor: float = 2.0, **settings):
        super().__init__(**settings)
        self.factor = factor


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    find_in_working_directory()
    yield tmp_path
    for name in ("ideas_a", "ideas_b"):
        sys.modules.pop(name, None)


def test_modules_of_all_configs_and_words_are_imported(here):
    for name in ("ideas_a", "ideas_b"):
        (here / f"{name}.py").touch()
    (here / "a.yaml").write_text("imports: [ideas_a]")
    words = ["--config", "a.yaml", "--imports=ideas_b"]
    import_own(words)
    assert own_modules(words) == ["ideas_a", "ideas_b"] and {"ideas_a", "ideas_b"} <= set(sys.modules)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("ideas_a", "", "there is no ideas_a.py in "),
        ("ideas_a", "import nothing_of_this_name", "ideas_a: it needs nothing_of_this_name, which is not installed"),
        ("ideas_a", "x = 1\n1 / 0", r"ideas_a fails: ZeroDivisionError: division by zero .*ideas_a\.py, line 2"),
        ("ideas_a", "def", r"ideas_a fails: SyntaxError: .*ideas_a\.py, line 1"),
        ("json", "x = 1", r"json\.py has the name of another module, .*json.__init__\.py; rename it"),
        ("./ideas_a.py", "", "name a module, as my_ideas for the file my_ideas.py"),
    ],
)
def test_a_module_that_cannot_be_imported_is_told_with_its_place(here, name, text, told):
    if text:
        (here / f"{name}.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        import_own(["--imports", name])


@pytest.mark.parametrize("program", ["smart_retail", "smart_retail.cli"])
def test_a_file_in_the_working_directory_takes_the_place_of_no_library(here, monkeypatch, program):
    (here / "yaml.py").write_text("raise SystemExit('the wrong yaml')")
    (here / "c.yaml").write_text("data: {}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = [sys.executable, "-m", program, "verify", "--config", "c.yaml"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "the wrong yaml" not in done.stderr


def test_what_is_looked_up_is_never_imported(here):
    (here / "ideas_a.py").write_text("def loss(): pass")
    with pytest.raises(ConfigError, match=r"ideas_a\.loss is code of your own that is not imported: add --imports ide"):
        look_up("ideas_a.loss")
    assert "ideas_a" not in sys.modules


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (f"{__name__}.Nothing", "has no such function or class"),
        (f"{__name__}.Softer", r"must inherit from smart_retail\.training\.module\.FaceAttributeModule"),
    ],
)
def test_a_module_that_is_none_is_refused(name, told):
    with pytest.raises(ConfigError, match=told):
        own_class(["--module", name], "module", FaceAttributeModule)
    assert own_class([], "module", FaceAttributeModule) is FaceAttributeModule


def test_a_class_without_the_methods_of_a_head_is_refused():
    with pytest.raises(ConfigError, match="Linear lacks decode, probabilities, loss, soft_loss"):
        FaceAttributeModule("test_resnet", image_size=32, heads={"emotion": "torch.nn.Linear"})


@pytest.mark.parametrize("setting", ["heads", "losses"])
def test_a_head_or_loss_of_no_task_is_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting} names height; tasks are gender, age, emotion"):
        FaceAttributeModule("test_resnet", image_size=32, **{setting: {"height": "torch.nn.Linear"}})


def saved(path, head):
    module = FaceAttributeModule("test_resnet", image_size=32, heads={"emotion": f"{__name__}.Softer"})
    settings = {**module.hparams, "heads": {"emotion": head}}
    content = {"hyper_parameters": settings, "contract": module.contract.to_dict()}
    torch.save(content | {"model_state_dict": module.net.state_dict()}, path)
    return path


def test_a_network_with_a_head_of_ones_own_is_loaded_where_the_class_is_known(tmp_path):
    assert isinstance(load_model(saved(tmp_path / "a.pth", f"{__name__}.Softer")).head("emotion"), Softer)


@pytest.mark.parametrize("head", ["antigravity.geohash", "os.abort", {"class_path": "os.remove", "init_args": {}}])
def test_a_checkpoint_that_names_code_runs_none(tmp_path, head):
    with pytest.raises(CheckpointError, match=r"is code of your own that is not imported|must inherit"):
        load_model(saved(tmp_path / "a.pth", head))
    assert "antigravity" not in sys.modules


def test_sources_that_a_checkpoint_names_are_not_imported():
    config = {"data": {"sources": [{"class_path": "UTKFace"}, {"class_path": "antigravity.Source"}]}}
    with pytest.raises(
        ConfigError, match=r"model\.pth was trained with antigravity\.Source, code that is not imported"
    ):
        check_imported(config, "model.pth")
    check_imported(yaml.safe_load("data: {sources: [{class_path: smart_retail.data.sources.folder.X}]}"), "model.pth")


def test_a_diverged_step_is_replayed_by_the_class_that_made_it():
    module = Weighing(factor=3.0, backbone="test_resnet", image_size=32)
    content = {
        "hyper_parameters": dict(module.hparams),
        "state_dict": module.state_dict(),
        "module": f"{__name__}.Weighing",
    }
    restored, _ = restore(content | {"batch": face_batch()._asdict()})
    assert isinstance(restored, Weighing) and restored.factor == 3 and isinstance(restored.net, nn.Module)
