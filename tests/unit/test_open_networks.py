import pytest

from smart_retail.errors import ConfigError
from smart_retail.evaluation.networks import open_networks


def test_a_training_that_ended_before_its_first_checkpoint_names_the_others(tmp_path):
    (tmp_path / "version_0").mkdir()
    (tmp_path / "version_0" / "config.yaml").touch()
    (tmp_path / "version_1" / "checkpoints").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"version_0: this training ended before .*version_1$"):
        open_networks(tmp_path / "version_0", "own", None)
