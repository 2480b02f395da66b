"""What is wrong with a table is told at once, before PyTorch is loaded, by every command with a config."""

import subprocess
import sys

import pytest
import yaml

from smart_retail.config_files import data_section
from smart_retail.data.sources.table import check_tables
from smart_retail.errors import DataError
from tests.helpers.trees import write_table


def config(folder, **settings):
    source = {"class_path": "FaceTable", "init_args": {"table": str(folder / "faces.csv")} | settings}
    (folder / "own.yaml").write_text(yaml.safe_dump({"data": {"sources": [source]}}))
    return str(folder / "own.yaml")


@pytest.mark.parametrize("command", ["fit", "data"])
def test_a_bad_table_ends_a_command_before_torch_is_loaded(tmp_path, command):
    write_table(tmp_path, "path,gender,age\na.jpg,Q,3\nb.jpg,male,09-Mar\n", ["a.jpg"])
    code = (
        "import sys; from smart_retail.cli import main; code = main(sys.argv[1:]); "
        "print(code, 'torch' in sys.modules, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, command, "--config", config(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "'Q' (row 2)" in done.stderr
    assert "'09-Mar' (row 3)" in done.stderr
    assert done.stderr.split()[-2:] == ["2", "False"]


def test_settings_of_the_command_line_count(tmp_path):
    write_table(tmp_path, "path,gender\na.jpg,Q\n", ["a.jpg"])
    words = ["--config", config(tmp_path), "--data.sources.init_args.values", "{gender: {Q: female}}"]
    check_tables(data_section(words))
    with pytest.raises(DataError, match="'Q'"):
        check_tables(data_section(words[:2]))


@pytest.mark.parametrize(
    "text",
    [
        "data: {sources: [1, {class_path: UTKFace}]}",
        "data: 3",
        "[1]",
        "data: {sources: [{class_path: FaceTable}]}",
        "data: {sources: [{class_path: FaceTable, init_args: {table: faces.csv, colums: [age]}}]}",
    ],
)
def test_what_is_no_table_is_left_to_the_parser(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces.csv").write_text("path,age\na.jpg,3\n")
    (tmp_path / "x.yaml").write_text(text)
    check_tables(data_section(["--config", str(tmp_path / "x.yaml")]))


def test_the_config_of_a_run_is_left_to_who_finds_its_data(tmp_path):
    folder = tmp_path / "lightning_logs" / "own" / "version_0"
    write_table(folder, "path,gender\na.jpg,Q\n", ["a.jpg"])
    assert data_section(["--config", config(folder)]) == {}
