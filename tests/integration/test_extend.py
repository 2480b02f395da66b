"""docs/extend.md as it stands there: its Python is one file, its YAML one config, in a folder of their own."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml

from smart_retail.data.crops import Square
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.edge.predictor import Predictor
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.load import load_model
from smart_retail.own_code import import_own
from smart_retail.tasks import EMOTIONS
from smart_retail.training.data_cli import read_data
from smart_retail.training.losses import own_losses, task_losses
from tests.helpers.batches import face_batch, tiny_network
from tests.helpers.runs import TINY, checkpoint, run

PAGE = Path(__file__).parents[2] / "docs/extend.md"
RUN = "lightning_logs/ideas/version_0"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def merged(into, values):
    for key, value in values.items():
        into[key] = merged(dict(into.get(key) or {}), value) if isinstance(value, dict) else value
    return into


def forget():
    sys.modules.pop("my_ideas", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train once with all examples at once; the folder is the working directory."""
    here = tmp_path_factory.mktemp("ideas")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        patch.setattr(sys, "path", [*sys.path])
        (here / "my_ideas.py").write_text("\n".join(blocks("python")))
        faces = SyntheticFaces(64, every_label=True).load().faces
        (here / "faces").mkdir()
        for i, (path, emotion) in enumerate(zip(faces["path"], faces["emotion"], strict=True)):
            shutil.copy(path, here / "faces" / f"{EMOTIONS[emotion]}_{i}.png")
        shutil.copy(path, here / "faces" / "unknown_1.png")
        config = merged({**TINY, "run": "ideas"}, {})
        for block in blocks("yaml"):
            merged(config, yaml.safe_load(block))
        (here / "my_ideas.yaml").write_text(yaml.safe_dump(merged(config, {"trainer": {"max_epochs": 1}})))
        forget()
        assert run("fit", "--config", "my_ideas.yaml") == 0
        yield here
        forget()


def test_the_run_tells_the_modules_that_it_imports(folder):
    assert yaml.safe_load((folder / RUN / "config.yaml").read_text())["imports"] == ["my_ideas"]


def test_an_own_source_is_read_and_tells_what_it_skipped(folder):
    index = read_data(["--config", "my_ideas.yaml"]).index
    assert index.datasets == ["named", "synthetic"]
    assert "no emotion in the file's name" in str(index.skipped)


def test_an_own_callback_writes(folder):
    assert re.match(r"0 -?0\.\d{4}\n", (folder / RUN / "scores.txt").read_text())


def test_an_own_augmentation_changes_a_fifth_of_the_faces_and_a_seed_repeats_it(folder):
    transform = read_data(["--config", "my_ideas.yaml"]).dataset("train").transform
    image = torch.zeros(64, 64, 3, dtype=torch.uint8).numpy()
    views = [transform(image, Square(32, 32, 64), 32, seed) for seed in range(100)]
    assert 5 < sum(view.any() for view in views) < 60
    assert (views[3] == transform(image, Square(32, 32, 64), 32, 3)).all()


def test_an_own_backbone_head_and_module_are_in_the_checkpoint(folder):
    settings = read_checkpoint(checkpoint("best", run_name="ideas"))["hyper_parameters"]
    assert settings["backbone"] == "small_net" and settings["mirror"] == 0.2
    assert "train/step_loss_mirror" in (folder / RUN / "metrics.csv").read_text()
    network = load_model(folder / RUN / "model.pth")
    assert type(network.head("emotion")).__name__ == "CosineHead" and network.head("emotion").scale == 10


def test_an_own_loss_takes_the_place_of_the_heads(folder):
    import_own(["--imports", "my_ideas"])
    network, batch = tiny_network(), face_batch()
    raw = network.raw(batch.image)
    plain = task_losses(network, raw, batch.labels, 0.0)
    own = task_losses(network, raw, batch.labels, 0.0, own=own_losses({"emotion": "my_ideas.focal_loss"}, ["emotion"]))
    assert own["emotion"] < plain["emotion"] and own["gender"] == plain["gender"]


def test_it_is_tested_resumed_exported_and_predicts(folder):
    forget()
    assert run("test", "--config", "my_ideas.yaml", "--ckpt_path", "best") == 0
    forget()
    go_on = ["--ckpt_path", "last", "--trainer.max_epochs", "2"]
    assert run("fit", "--config", f"{RUN}/config.yaml", *go_on) == 0
    forget()
    words = ["--checkpoint", RUN, "--output", "bundle", "--gate.points", "100", "--gate.years", "100"]
    assert run("export", *words, "--imports", "my_ideas") == 0
    forget()
    assert Predictor.from_bundle("bundle")(next((folder / "faces").glob("*.png"))).emotion in EMOTIONS


def test_a_checkpoint_alone_imports_nothing_and_says_what_to_add(folder, capsys):
    forget()
    assert run("export", "--checkpoint", RUN, "--output", "other") == 2
    assert "add --imports my_ideas, in the folder with my_ideas.py" in capsys.readouterr().err
    assert "my_ideas" not in sys.modules


def test_a_checkpoint_goes_on_only_with_its_own_module(folder, capsys):
    forget()
    config = yaml.safe_load((folder / "my_ideas.yaml").read_text())
    del config["module"], config["model"]["mirror"]
    (folder / "without.yaml").write_text(yaml.safe_dump(config))
    assert run("fit", "--config", "without.yaml", "--ckpt_path", "last") == 2
    assert "add --module my_ideas.MirrorModule --imports my_ideas" in capsys.readouterr().err
