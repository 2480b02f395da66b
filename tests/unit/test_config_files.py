import pytest

from smart_retail.config_files import check_config_files
from smart_retail.errors import ConfigError
from tests.helpers.runs import run


@pytest.mark.parametrize("text", ["[" * 50_000, "- " * 50_000, "{a: " * 50_000])
@pytest.mark.parametrize("command", ["fit", "sweep"])
def test_a_file_that_nests_without_end_is_refused(tmp_path, capsys, text, command):
    path = tmp_path / "deep.yaml"
    path.write_text(text)
    assert run(command, "--config", str(path)) == 2
    said = capsys.readouterr().err
    assert "deep.yaml" in said
    assert "levels deep" in said


def test_a_huge_file_is_refused(tmp_path):
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="bytes, more than 1,000,000"):
        check_config_files([f"--config={path}"])


def test_what_is_no_yaml_is_left_to_the_parser(tmp_path):
    path = tmp_path / "odd.yaml"
    path.write_bytes(b": [}")
    check_config_files(["--config", str(path), "--config", "missing.yaml", "--config"])
    check_config_files([])
