import json

import numpy as np
import onnx
import pytest
import torch

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.soft_targets import read_soft_targets
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.data.transforms import Augmentation
from smart_retail.export.onnx import export_network
from smart_retail.models.load import load_model
from smart_retail.tasks import TASKS
from smart_retail.training.data_cli import read_data
from smart_retail.training.distillation import Teachers
from smart_retail.training.module import FaceAttributeModule
from smart_retail.training.soft_targets import _resume, provenance_of
from tests.helpers.runs import checkpoint, differing, load, run, write_config
from tests.helpers.trees import write_utkface


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A teacher, and its soft targets for the training faces."""
    folder = tmp_path_factory.mktemp("taught")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = write_config(folder, run="teacher", trainer={"max_epochs": 1})
        assert run("fit", "--config", config) == 0
        assert precompute(config) == 0
    return folder


@pytest.fixture
def inside(taught, monkeypatch):
    monkeypatch.chdir(taught)
    return taught


def precompute(config, output="soft.npz", views=2):
    teacher = "lightning_logs/teacher/version_0/model.pth"
    return run("soft_targets", "--config", config, "--teachers", teacher, "--views", views, "--output", output)


def test_soft_targets_are_probabilities_of_every_training_face(inside):
    with np.load("soft.npz", allow_pickle=False) as file:
        keys = list(file["keys"])
    labels = read_soft_targets(inside / "soft.npz", keys[::-1], TASKS)
    assert labels["age"].shape == (len(keys), 101)
    for values in labels.values():
        torch.testing.assert_close(values.float().sum(1), torch.ones(len(keys)), rtol=0, atol=5e-3)
    first = read_soft_targets(inside / "soft.npz", keys[:1], TASKS)
    assert torch.equal(labels["emotion"][-1], first["emotion"][0])
    assert not (inside / "soft.part.npz").exists()


def test_a_stopped_computation_goes_on_after_the_last_view(inside, monkeypatch):
    config = write_config(inside)
    from smart_retail.training import soft_targets as module

    add_view, views = module._add_view, []

    def stopping(*args):
        views.append(args[-1])
        if len(views) == 2:
            raise RuntimeError("stopped by the test")
        add_view(*args)

    monkeypatch.setattr(module, "_add_view", stopping)
    assert precompute(config, "again.npz") == 1
    assert not (inside / "again.npz").exists()
    assert precompute(config, "again.npz") == 0
    assert views == ["view 1 of 2", "view 2 of 2", "view 2 of 2"]
    with np.load("soft.npz") as whole, np.load("again.npz") as resumed:
        assert all(np.array_equal(whole[name], resumed[name]) for name in ("keys", "gender", "age", "emotion"))


def test_a_part_of_other_or_more_views_is_not_continued(inside):
    def provenance(*sources, **settings):
        return provenance_of(teachers, FaceDataModule([*sources], image_size=32, workers=0, **settings))

    teachers = Teachers(["lightning_logs/teacher/version_0/model.pth"])
    first, second = SyntheticFaces(64), UTKFace(str(write_utkface(inside / "utk", 40)))
    same = provenance(first, second)
    sums = {task.name: np.zeros((3, task.width), np.float32) for task in TASKS}
    np.savez(inside / "some.part.npz", done=2, provenance=json.dumps(same), **sums)
    done = lambda wanted, views: _resume(inside / "some.part.npz", wanted, 3, views, teachers.widths)[0]  # noqa: E731
    assert done(provenance(first, second), 2) == 2
    assert done(same, 1) == 0
    assert done(provenance(first, second, augmentation=Augmentation(turn=3)), 2) == 0
    assert done(provenance(first, second, augmentation=Augmentation(corrupt={"noise": 0.1})), 2) == 0
    assert done(provenance(first, second, seed=1), 2) == 0
    reordered = provenance(second, first)
    assert reordered["data"] == same["data"]
    assert done(reordered, 2) == 0


@pytest.mark.parametrize("way", ["stored", "online"])
def test_a_student_learns_resumes_and_leaves_the_teacher_out(inside, way):
    teacher = {"teachers": ["lightning_logs/teacher/version_0/model.pth"]} if way == "online" else {}
    data = {"soft_targets": "soft.npz"} if way == "stored" else {}
    config = write_config(inside, run=f"whole_{way}", model=teacher, data=data)
    assert run("fit", "--config", config) == 0
    content = load(checkpoint(run_name=f"whole_{way}"))
    assert not [name for name in content["state_dict"] if "teacher" in name]
    plain = FaceAttributeModule(backbone="test_resnet", image_size=32)
    assert set(plain.state_dict()) == set(content["state_dict"])
    again = write_config(inside, run=f"again_{way}", model=teacher, data=data)
    assert run("fit", "--config", again) == 0
    assert not differing(checkpoint(run_name=f"whole_{way}"), checkpoint(run_name=f"again_{way}"))
    assert run("fit", "--config", again, "--ckpt_path", "last", "--trainer.max_epochs", "3") == 0
    assert load(checkpoint(run_name=f"again_{way}"))["epoch"] == 2
    assert run("test", "--config", again, "--ckpt_path", "best") == 0


def test_teachers_are_frozen_outside_the_module_and_stay_in_eval_mode(inside):
    module = FaceAttributeModule(
        backbone="test_resnet", image_size=32, teachers=["lightning_logs/teacher/version_0/model.pth"]
    )
    module.train()
    (network,) = module.teachers.networks
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    theirs = {id(p) for p in network.parameters()}
    assert not theirs & {id(p) for p in module.parameters()}
    said = module.teachers(torch.randn(2, 3, 32, 32), module.contract)
    assert not said.soft["age"].requires_grad and not said.features[0].requires_grad


@pytest.mark.slow
def test_features_are_matched_in_training_only_and_a_resume_is_exact(inside):
    teacher = {"teachers": {"emotion": "lightning_logs/teacher/version_0/model.pth"}, "distillation": {"features": 0.5}}
    few = {"limit_train_batches": 3}
    assert run("fit", "--config", write_config(inside, run="matched", model=teacher, trainer=few)) == 0
    content = load(checkpoint(run_name="matched"))
    assert [name for name in content["state_dict"] if "matching" in name]
    assert content["hyper_parameters"]["distillation"]["features"] == 0.5
    stop = {"callbacks": [{"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": 4}}]}
    assert run("fit", "--config", write_config(inside, run="stopped", model=teacher, trainer=few | stop)) == 130
    again = write_config(inside, run="stopped", model=teacher, trainer=few)
    assert run("fit", "--config", again, "--ckpt_path", "last") == 0
    assert differing(checkpoint(run_name="matched"), checkpoint(run_name="stopped")) == []
    assert run("test", "--config", again, "--ckpt_path", "best") == 0
    assert run("fit", "--config", write_config(inside, run="plain", trainer=few)) == 0
    models = [load_model(inside / f"lightning_logs/{name}/version_0/model.pth") for name in ("matched", "plain")]
    crops, graphs = np.random.default_rng(0).integers(256, size=(2, 32, 32, 3), dtype=np.uint8), []
    for name, model in zip(("matched", "plain"), models, strict=True):
        export_network(model, inside / f"{name}.onnx", crops, ages=False)
        graph = onnx.load(inside / f"{name}.onnx").graph
        graphs.append(([node.op_type for node in graph.node], [list(w.dims) for w in graph.initializer]))
    assert graphs[0] == graphs[1]


def test_features_without_a_teacher_in_every_step_are_refused(inside, capsys):
    config = write_config(inside, model={"distillation": {"features": 1.0}}, data={"soft_targets": "soft.npz"})
    assert run("fit", "--config", config) == 2
    assert "model.distillation.features needs model.teachers" in capsys.readouterr().err


def test_a_task_that_only_a_teacher_knows_is_learnt(inside, monkeypatch):
    table = inside / "ages.csv"
    index = read_data(["--config", str(write_config(inside))]).index.faces
    index[["path", "age"]].to_csv(table, index=False)
    data = {"sources": [{"class_path": "FaceTable", "init_args": {"table": str(table)}}]}
    words = ["--config", write_config(inside, run="only_ages", data=data, trainer={"max_epochs": 1})]
    assert run("fit", *words) == 2
    teachers = "lightning_logs/teacher/version_0/model.pth"
    assert run("fit", *words, f"--model.teachers=[{teachers}]", "--model.distillation.faces=labelled") == 2
    assert run("fit", *words, f"--model.teachers=[{teachers}]") == 0


@pytest.mark.parametrize(
    ("soft", "words"), [("missing.npz", "no such file"), ("broken.npz", "damaged"), ("other.npz", "does not know")]
)
def test_a_file_that_does_not_fit_is_named(inside, capsys, soft, words):
    (inside / "broken.npz").write_bytes(b"PK nothing")
    with np.load("soft.npz") as file:
        np.savez(inside / "other.npz", **{name: file[name][:3] if file[name].ndim else file[name] for name in file})
    config = write_config(inside, data={"soft_targets": soft})
    assert run("fit", "--config", config) == 2
    error = capsys.readouterr().err
    assert words in error and soft in error and "Traceback" not in error


def test_a_missing_teacher_is_named(inside, capsys):
    assert run("soft_targets", "--config", write_config(inside), "--teachers", "none.pth", "--output", "x.npz") == 2
    assert "none.pth: no such checkpoint" in capsys.readouterr().err


def test_threads_below_one_are_refused_before_the_teacher_is_read(capsys):
    assert run("soft_targets", "--teachers", "none.pth", "--output", "x.npz", "--threads", "-1") == 2
    assert "--threads -1 must be 1 or more" in capsys.readouterr().err


def test_the_steps_with_a_teacher_are_timed_in_turns(inside, capsys):
    words = ["--backbone", "resnet10t", "--image_size", "32", "--batch_size", "2", "--rounds", "2", "--threads", "1"]
    teacher = ["--teachers", "lightning_logs/teacher/version_0/model.pth"]
    assert run("benchmark", "step", *words, *teacher, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found["speedup"]) == {"stored soft targets", "teacher in every step"}
