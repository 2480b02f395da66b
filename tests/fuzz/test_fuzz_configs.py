"""Configs, sweeps and words that come from anyone: read as data, classes of the expected kind made, or refused."""

import copy
import os
import re
import sys
import tempfile
from argparse import ArgumentError
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from smart_retail.config_files import check_config_files, training_config
from smart_retail.data.face_crops import read_index
from smart_retail.export.export_command import export
from smart_retail.failures import LINES, WIDTH, fit_terminal
from smart_retail.sweep.command import read_plan, split_settings
from smart_retail.training.data_cli import parse_data
from tests.helpers.fuzz import damaged, fuzz, json_values, only_clear_errors, tree
from tests.helpers.runs import TINY, run, write_config

CONFIGS = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))]
ODD = [
    "!!python/object/apply:os.system ['touch owned']", "!!python/name:os.system", "!!bool 7", "!!timestamp x",
    "!!int x", "!!binary '='", "!!float .", "!!set {a, b}", "!!omap [a]", "&a [*a]", "*nowhere", "<<: [1]",
    "? [a]\n: b", "1:60:61", "2026-13-45", "9" * 5000, "0x", ".inf", "'\\ud800'", '"\\ud800"', "\x1b[31m", "\u202e",
    "é: ü", "'" * 7, "- - -", "%YAML 9.9\n---\na", "{class_path: os.system, init_args: {command: touch owned}}",
    "{class_path: 7}", "{class_path: [], init_args: x}", "/dev/null", "/", "-",
]  # fmt: skip


@contextmanager
def only_messages():
    """Let pass what the command line shows as a message; anything else is a finding."""
    try:
        with only_clear_errors():
            yield
    except (ArgumentError, OSError) as error:
        lines = fit_terminal(str(error)).split("\n")
        assert len(lines) <= LINES and max(map(len, lines)) <= WIDTH + 4


@st.composite
def odd_configs(draw: st.DrawFn, sound: dict) -> bytes:
    """Return a config with other values at some places, other keys, or odd YAML there."""
    content = copy.deepcopy(sound)
    for number in range(draw(st.integers(1, 2))):
        at = content
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = draw(st.sampled_from(keys))
            if isinstance(at[key], dict | list) and at[key] and draw(st.booleans()):
                at = at[key]
            else:
                break
        if isinstance(at, dict) and draw(st.integers(0, 5)) == 0:
            key = draw(st.text(max_size=6) | st.sampled_from(["class_path", "init_args", "__path__", "config", "help"]))
        at[key] = draw(st.just(f"HERE{number}") | json_values)
    text = yaml.safe_dump(content, allow_unicode=draw(st.booleans()))
    return re.sub(r"HERE\d", lambda _: draw(st.sampled_from(ODD)), text).encode("utf-8", "surrogatepass")


def files(sound: dict) -> st.SearchStrategy[bytes]:
    """Return files that are no config, or nearly one."""
    texts = st.lists(st.sampled_from(ODD), max_size=4).map(lambda parts: "\n".join(parts).encode("utf-8", "replace"))
    near = st.sampled_from(CONFIGS).flatmap(damaged)
    return st.one_of(odd_configs(sound), odd_configs(sound), near, texts, st.binary(max_size=100))


@pytest.fixture(scope="module")
def parser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parser")
    return parse_data(["--config", str(write_config(folder))], "data", "").parser


@contextmanager
def file_in_a_folder(content: bytes):
    """Give a config's path; whatever is written beside it is a finding."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("bad.yaml").write_bytes(content)
            yield "bad.yaml"
            assert tree(Path(folder)) == {"bad.yaml"}
        finally:
            os.chdir(before)


@fuzz(60)
@given(content=files(TINY))
def test_configs_of_fit_and_data(parser, content):
    with file_in_a_folder(content) as path, only_messages():
        check_config_files(["--config", path])
        parser.parse_args(["--config", path])


SWEEP = {
    "name": "study", "configs": ["bad.yaml"], "sampler": "tpe", "trials": 3, "seeds": [0, 1], "epochs": 2,
    "minutes": 1.5, "metric": "val/score", "storage": None, "settings": {"data.workers": 0},
    "configurations": {"one": {"model.learning_rate": 0.1, "config": ["bad.yaml"]}, "two": {}},
    "search": {"model.learning_rate": {"low": 0.1, "high": 0.2, "log": True}, "data.seed": [1, 2]},
}  # fmt: skip


@fuzz(80)
@given(content=files(SWEEP), sampler=st.sampled_from(["list", "grid", "tpe"]))
def test_sweeps(content, sampler):
    with file_in_a_folder(content) as path, only_messages():
        check_config_files(["--config", path])
        _, plan = read_plan(["--config", path, "--sampler", sampler])
        assert all(words[0] == "fit" for words in plan.candidates().values())
        plan.planned(), plan.folder
        assert ".." not in Path(plan.name).parts


PARTS = st.sampled_from(
    ["--data.seed", "--settings.", "--a.b=", "--search.x.y", "=", "--", "1", "[1", "{", "--é.ü", "\x1b", *ODD]
)


@fuzz(100)
@given(st.lists(PARTS | st.text(max_size=6) | st.lists(PARTS, max_size=3).map("".join), max_size=5))
def test_words_of_a_sweep(given_words):
    with only_messages():
        own, settings = split_settings(given_words, {"search", "configurations"})
        assert set(own) <= set(given_words) and all("." in name for name in settings)


EXPORT = {"precision": "int8", "gate": {"points": 1, "tasks": {"age": 0.1}}, "image_size": 48, "checkpoint": "nowhere"}


@fuzz(40)
@given(content=files(EXPORT))
def test_configs_of_export(content):
    with file_in_a_folder(content) as path, only_messages():
        check_config_files(["--config", path])
        export(["--config", path, "--checkpoint", "nowhere", "--output", "out"])


@fuzz(40)
@given(text=files(TINY).map(lambda content: content.decode("utf-8", "replace")))
def test_the_config_inside_a_networks_file(text):
    with file_in_a_folder(b""), only_messages():
        config = training_config({"config": text})
        assert not config or config["data"]["sources"]
        if config and "Synthetic" not in text:
            read_index(config)


def bomb(levels: int) -> str:
    """Return a list that stands for 9 to the power of ``levels`` texts."""
    text = "&a0 [x, x, x, x, x, x, x, x, x]"
    for level in range(1, levels):
        text = f"&a{level} [{text}{f', *a{level - 1}' * 8}]"
    return text


@pytest.mark.parametrize("command", ["data", "fit", "sweep", "export"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"data: {bomb(30)}", "unfolds to more than"),
        (f"unknown: {bomb(9)}", "unfolds to more than"),
        (f"model: {{learning_rate: &a {'x' * 50_000}, weights: [*a, *a, *a]}}", "unfolds to more than"),
        ("data: &a {sources: *a}", "contains itself"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
    ],
    ids=["bomb", "bomb nobody reads", "long", "itself", "bytes"],
)
def test_what_no_config_is_is_named_at_once(tmp_path, capsys, command, text, said):
    path = tmp_path / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run(command, "--config", path) == 2
    shown = capsys.readouterr().err
    assert "bad.yaml" in shown and said in shown and len(shown) < 500


@pytest.mark.parametrize("text", [bomb(12), "[" * 20_000], ids=["bomb", "deep"])
@pytest.mark.parametrize("where", ["data", "trainer.callbacks"])
def test_a_file_that_a_config_names_and_a_word_are_looked_at_too(tmp_path, monkeypatch, capsys, text, where):
    monkeypatch.chdir(tmp_path)
    Path("inner.yaml").write_text(text)
    names = where.split(".")
    Path("outer.yaml").write_text(yaml.safe_dump({names[0]: {names[1]: "inner.yaml"} if names[1:] else "inner.yaml"}))
    for words in (["--config", "outer.yaml"], [f"--{where}", "inner.yaml"], [f"--{where}={text}"]):
        assert run("data", "--config", write_config(tmp_path), *words) == 2
        assert len(capsys.readouterr().err) < 20_000


POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": "./program"}}
STRATEGY = {"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": {"ddp_comm_state": POPEN}}


def later(function: str) -> dict:
    callback = {"class_path": "lightning.pytorch.callbacks.LambdaCallback", "init_args": {"setup": function}}
    return {"trainer": {"callbacks": [callback]}}


def source(class_path: str, **settings: str) -> dict:
    return {"data": {"sources": [{"class_path": class_path, "init_args": settings}]}}


REFUSED = {
    "a command": source("os.system", command="./program"),
    "a process": source("subprocess.Popen", args="./program"),
    "code": source("builtins.eval", source="1"),
    "another kind": source("collections.OrderedDict"),
    "a logger": {"trainer": {"logger": POPEN}},
    "a callback": {"trainer": {"callbacks": [POPEN]}},
    "where anything may stand": {"trainer": {"strategy": STRATEGY}},
    "a function that is called later": later("os.system"),
    "the same under another name": later("tempfile._os.system"),
}
"""What jsonargparse 4 makes or calls unless it is told otherwise, and what it never did."""


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("command", ["data", "fit"])
def test_a_config_runs_no_program(tmp_path, monkeypatch, capsys, command, changes):
    monkeypatch.chdir(tmp_path)
    Path("program").write_text("#!/bin/sh\ntouch owned\n")
    Path("program").chmod(0o755)
    assert run(command, "--config", write_config(tmp_path, **changes)) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not Path("owned").exists()


def test_a_module_that_is_named_is_imported_but_nothing_in_it_is_called(tmp_path, monkeypatch, capsys):
    """Who names a class names code: this is why configs, like scripts, are only for people one trusts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    body = "open('imported', 'w').close()\ndef f(*a, **k): open('called', 'w').close()\nclass C:\n    __init__ = f\n"
    Path("modules_of_a_stranger.py").write_text(body)
    for name in ("f", "C"):
        source = [{"class_path": f"modules_of_a_stranger.{name}", "init_args": {"root": "."}}]
        assert run("data", "--config", write_config(tmp_path, data={"sources": source})) == 2
    assert "subclass of Source" in capsys.readouterr().err
    assert Path("imported").exists() and not Path("called").exists()
    sys.modules.pop("modules_of_a_stranger")
