"""A run that is stopped and resumed ends with the weights of the unbroken run, bit for bit."""

import csv
import signal
from pathlib import Path

import pytest

from tests.helpers.children import exit_code, start_child
from tests.helpers.runs import FIGURES, checkpoint, differing, load, run, write_config

STEPS = 5  # of an epoch of the training faces by eights


def stops(step, way):
    return {"callbacks": [{"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": step, "way": way}}]}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run("fit", "--config", write_config(folder)) == 0
    assert load(folder / checkpoint())["global_step"] == 2 * STEPS
    return folder / checkpoint()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resume(folder, **changes):
    assert run("fit", "--config", write_config(folder, **changes), "--ckpt_path", "last") == 0


def test_the_same_seed_twice_gives_the_same_weights(unbroken, here):
    assert run("fit", "--config", write_config(here)) == 0
    assert differing(unbroken, checkpoint()) == []


@pytest.mark.parametrize("step", [1, 4, STEPS, STEPS + 1, STEPS + 3])
def test_ctrl_c_at_any_step(unbroken, here, step):
    assert run("fit", "--config", write_config(here, trainer=stops(step, "interrupt"))) == 130
    assert load(checkpoint())["global_step"] == step
    resume(here)
    assert differing(unbroken, checkpoint()) == []


@pytest.mark.parametrize("step", [3, STEPS])
def test_a_time_budget(unbroken, here, step):
    assert run("fit", "--config", write_config(here, trainer=stops(step, "budget"))) == 0
    assert load(checkpoint())["global_step"] == step
    resume(here)
    assert differing(unbroken, checkpoint()) == []


def test_an_epochs_end(unbroken, here):
    """As after a crash between two epochs: the checkpoint is the one that follows the validation."""
    trainer = stops(STEPS + 1, "raise")
    assert run("fit", "--config", write_config(here, trainer=trainer)) != 0
    assert load(checkpoint())["global_step"] == STEPS
    resume(here)
    assert differing(unbroken, checkpoint()) == []


def test_twice(unbroken, here):
    assert run("fit", "--config", write_config(here, trainer=stops(3, "interrupt"))) == 130
    again = write_config(here, trainer=stops(STEPS + 2, "interrupt"))
    assert run("fit", "--config", again, "--ckpt_path", "last") == 130
    resume(here)
    assert differing(unbroken, checkpoint()) == []


def test_with_another_number_of_workers(unbroken, here):
    assert run("fit", "--config", write_config(here, trainer=stops(3, "interrupt"), data={"workers": 1})) == 130
    resume(here, data={"workers": 2})
    assert differing(unbroken, checkpoint()) == []


def test_with_pictures_that_the_unbroken_run_did_not_draw(unbroken, here):
    assert run("fit", "--config", write_config(here, trainer=stops(3, "interrupt"), figures=FIGURES)) == 130
    resume(here, figures=FIGURES)
    assert differing(unbroken, checkpoint()) == []


def test_a_resumed_run_goes_on_in_its_folder(here):
    assert run("fit", "--config", write_config(here, trainer=stops(3, "interrupt"))) == 130
    resume(here)
    assert not checkpoint(version=1).exists()
    assert (here / "lightning_logs/tiny/version_0/model.pth").is_file()


@pytest.mark.parametrize("step", [2, 3, 5])
def test_with_fewer_batches_an_epoch_than_there_are(here, step):
    few = {"limit_train_batches": 3}
    assert run("fit", "--config", write_config(here, run="whole", trainer=few)) == 0
    assert run("fit", "--config", write_config(here, trainer=few | stops(step, "interrupt"))) == 130
    resume(here, trainer=few)
    assert differing(checkpoint(run_name="whole"), checkpoint()) == []


def test_with_growing_images(here):
    data = {"progressive": {0: 32, 1: 48}, "image_size": 48}
    assert run("fit", "--config", write_config(here, run="whole", data=data)) == 0
    assert run("fit", "--config", write_config(here, data=data, trainer=stops(STEPS + 2, "interrupt"))) == 130
    resume(here, data=data)
    assert differing(checkpoint(run_name="whole"), checkpoint()) == []


def test_of_a_finished_run_does_nothing(unbroken, here):
    assert run("fit", "--config", write_config(here)) == 0
    resume(here)
    assert differing(unbroken, checkpoint()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("way", "code"), [("interrupt group", 130), ("terminate group", 143)])
def test_a_signal_that_reaches_the_workers_too(unbroken, here, way, code):
    config = write_config(here, trainer=stops(4, way), data={"workers": 1})
    ended = exit_code(start_child("fit", "--config", config, group=True))
    said = (here / "child.log").read_text()
    assert ended == code, said
    assert "Traceback" not in said
    assert load(checkpoint())["global_step"] == 4
    resume(here)
    assert differing(unbroken, checkpoint()) == []


def test_kill_9(unbroken, here):
    config = write_config(here, trainer=stops(STEPS + 2, "kill"), last={"minutes": 1e-6})
    assert exit_code(start_child("fit", "--config", config)) == -9
    assert load(checkpoint())["global_step"] in (STEPS + 1, STEPS + 2)
    resume(here)
    assert differing(unbroken, checkpoint()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stop_within_a_validation_loses_nothing(unbroken, here, number):
    """Resumed, the run begins with the validation that it owes, and so finds the same best network."""
    stop = {"class_path": "tests.helpers.stops.StopInValidation", "init_args": {"epoch": 0, "number": int(number)}}
    # Smaller batches, or a signal that takes effect after a batch comes after the last one.
    config = write_config(here, trainer={"callbacks": [stop]}, data={"eval_batch_size": 2})
    ended = exit_code(start_child("fit", "--config", config))
    assert ended == {signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    assert not checkpoint("best").exists()
    assert load(checkpoint())["global_step"] == STEPS
    resume(here)
    assert differing(unbroken, checkpoint()) == []
    assert [float(s) for s in scores(here)] == pytest.approx([float(s) for s in scores(unbroken.parents[4])])
    assert differing(unbroken.with_name("best.ckpt"), checkpoint("best")) == []


def scores(folder: Path) -> list[str]:
    """Return the validation scores of a run, one an epoch."""
    with (folder / "lightning_logs/tiny/version_0/metrics.csv").open() as file:
        return [row["val/score"] for row in csv.DictReader(file) if row["val/score"]]
