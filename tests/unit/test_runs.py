import os

import pytest

from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.runs import claim_version, drop_if_empty, find_checkpoint, version_of


def checkpoint(logs, version, name="last", run="demo", when=0):
    path = logs / run / f"version_{version}" / "checkpoints" / f"{name}.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (when, when))
    return path


def test_last_is_that_of_the_newest_version(tmp_path):
    checkpoint(tmp_path, 9, when=2)
    newest = checkpoint(tmp_path, 10, when=1)
    assert find_checkpoint("last", "demo", tmp_path) == newest


def test_an_older_version_is_never_taken_silently(tmp_path):
    checkpoint(tmp_path, 9)
    (tmp_path / "demo" / "version_10").mkdir()
    with pytest.raises(CheckpointError, match=r"^last: .* never written; the run before has .*version_9"):
        find_checkpoint("last", "demo", tmp_path)


def test_other_runs_do_not_count(tmp_path):
    mine = checkpoint(tmp_path, 0, when=1)
    checkpoint(tmp_path, 0, run="other", when=2)
    assert find_checkpoint("last", "demo", tmp_path) == mine


def test_best_is_another_file(tmp_path):
    checkpoint(tmp_path, 0, "last")
    best = checkpoint(tmp_path, 0, "best")
    assert find_checkpoint("best", "demo", tmp_path) == best


def test_a_folder_means_its_best(tmp_path):
    best = checkpoint(tmp_path, 0, "best")
    assert find_checkpoint(str(best.parent.parent), "whatever", tmp_path) == best


def test_a_file_is_itself(tmp_path):
    path = checkpoint(tmp_path, 0)
    assert find_checkpoint(str(path), "whatever", tmp_path) == path


@pytest.mark.parametrize("wanted", ["last", "best", "some/file.ckpt"])
def test_what_is_not_there_is_named(tmp_path, wanted):
    with pytest.raises(CheckpointError, match=f"^{wanted}: no"):
        find_checkpoint(wanted, "demo", tmp_path)


def test_a_checkpoint_of_this_run_goes_on_in_its_version(tmp_path):
    path = checkpoint(tmp_path, 4)
    assert version_of(path, "demo", tmp_path) == "version_4"
    assert version_of(path, "other", tmp_path) is None


def test_every_training_gets_a_folder_of_its_own(tmp_path):
    checkpoint(tmp_path, 4)
    claimed = [claim_version(tmp_path / "demo").name for _ in range(3)]
    assert claimed == ["version_5", "version_6", "version_7"]
    assert claim_version(tmp_path / "other") == tmp_path / "other/version_0"


def test_a_folder_in_which_nothing_was_written_goes_and_nothing_else(tmp_path):
    logs = tmp_path / "lightning_logs"
    drop_if_empty(claim_version(logs / "ten/a"), logs)
    assert list(tmp_path.iterdir()) == []
    kept = checkpoint(logs, 0)
    drop_if_empty(kept.parent.parent, logs)
    drop_if_empty(claim_version(logs / "demo"), logs)
    assert kept.is_file() and len(list((logs / "demo").iterdir())) == 1


def test_where_no_folder_can_be_made_the_setting_is_named(tmp_path):
    (tmp_path / "lightning_logs").write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot be made \(Not a directory\); set --trainer.default_root_dir"):
        claim_version(tmp_path / "lightning_logs" / "run")
