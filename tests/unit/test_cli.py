"""One grammar: a table of commands, underscores, switches, the nearest name, and help at once."""

import re
import sys
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
import yaml
from jsonargparse import ArgumentParser

from smart_retail.arguments import Help, command_parser, nearest, parse, positionals_first, reading
from smart_retail.cli import COMMANDS, main
from smart_retail.errors import ConfigError
from smart_retail.training.cli import RENAMED
from smart_retail.training.data_cli import parse_data
from smart_retail.training.settings_help import LINKED, RUN, SECTIONS, TRAINER, settings_of
from tests.helpers.runs import run, write_config

LISTED = [setting for section, place in SECTIONS.items() for setting in settings_of(section, place)]


@pytest.fixture(scope="module")
def fit_parser(tmp_path_factory):
    return parse_data(["--config", str(write_config(tmp_path_factory.mktemp("parser")))], "data", "").parser


@pytest.mark.parametrize("place", [place for place, _ in COMMANDS.values()])
def test_the_table_leads_to_functions(place):
    module, _, function = place.partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_the_table(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and line in said for name, (_, line) in COMMANDS.items())


def test_help_that_nobody_reads_on_ends_quietly():
    with Popen([sys.executable, "-m", "smart_retail"], stdout=PIPE, stderr=PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 141


def test_a_family_of_commands_lists_itself(capsys):
    assert main(["benchmark", "--help"]) == 0
    said = capsys.readouterr().out
    assert "benchmark step" in said and "benchmark bundle" in said and "predict" not in said


@pytest.mark.parametrize(
    ("words", "near"),
    [(["predit"], "near it: predict"), (["benchmark", "wach"], "benchmark watch"), (["xyzzy"], "--help lists them")],
)
def test_a_misspelt_command_names_what_is_near(words, near, capsys):
    assert main(words) == 2
    assert near in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict a.jpg --format xml", "--format xml must be one of 'table', 'json', 'csv'"),
        ("predict a.jpg --precision int4", "--precision int4 must be one of 'int8', 'fp32', 'fp16'"),
        ("watch 0 --max_fps fast", "--max_fps fast must be a number"),
        ("benchmark bundle --threads x", "--threads x must be a whole number or a list ('[1, 2]')"),
    ],
)
def test_a_value_of_another_type_is_told_without_the_names_of_pythons_types(words, said, capsys):
    assert main(words.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_underscores(name, capsys):
    assert run(*name.split(), "--help") == 0
    said = capsys.readouterr().out
    assert f"smart-retail {name}" in said
    assert not re.findall(r"^ +--[\w.]+-.*", said, re.MULTILINE)


def test_help_of_fit_begins_with_the_run_and_names_all_of_ours_and_the_trainers_most_used(capsys):
    assert main(["fit", "--help"]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"\n{title}:\n") for title in ("run", *SECTIONS, "trainer")]
    assert places == sorted(places) and "--trainer.max_time" in said and "--trainer.barebones" not in said


def test_help_of_one_section_is_that_alone(capsys):
    assert main(["fit", "--help", "figures"]) == 0
    said = capsys.readouterr().out
    assert "--figures.graph" in said and "--data." not in said


def test_the_rest_of_the_trainer_is_folded(capsys):
    assert run("fit", "--help", "trainer") == 0
    said = capsys.readouterr().out
    assert "--trainer.barebones" in said and "--model.backbone" not in said


@pytest.mark.parametrize("way", ["words", "file"])
def test_settings_are_read_by_their_older_names(way, tmp_path, monkeypatch, capsys):
    theirs = tmp_path / "project"
    theirs.mkdir()
    (theirs / "a.npz").touch()
    config = write_config(theirs, data={"soft_labels": "a.npz"}, model={"weights": "a.pth"})
    monkeypatch.chdir(tmp_path)
    words = ["--data.soft_labels", "a.npz", "--model.weights", "a.pth"] if way == "words" else []
    found = parse_data(["--config", str(config), *words], "data", "").config
    assert (found.data.soft_targets, found.model.init_weights) == (str(theirs / "a.npz"), "a.pth")
    assert "note: a.npz is not in this folder" in capsys.readouterr().err


def test_what_help_reads_from_the_source_is_what_the_parser_knows(fit_parser):
    real = {name.lstrip("-") for name in fit_parser._option_string_actions}
    groups = {name for name in real if any(other.startswith(f"{name}.") and other != f"{name}.help" for other in real)}
    ours = {name for name in real - groups if name.partition(".")[0] in SECTIONS and not name.endswith((".help", "+"))}
    old = {f"{section}.{name}" for section, name, _ in RENAMED}
    assert {setting.name for setting in LISTED} == ours - set(LINKED) - old
    assert {*TRAINER, *LINKED} <= real
    assert {*RUN} - {"ckpt_path"} <= real
    assert all(setting.text and setting.kind for setting in LISTED)


def test_defaults_in_the_help_are_those_of_the_parser(fit_parser):
    for setting in LISTED:
        default = fit_parser.get_default(setting.name)
        if setting.default:
            assert yaml.safe_load(setting.default) == default, setting
        else:
            assert default is None or default == [] or default == {}, setting


def switch() -> ArgumentParser:
    parser = command_parser("try", "")
    parser.add_argument("--retry", type=bool, default=False)
    parser.add_argument("--maybe", type=bool | None)
    return parser


@pytest.mark.parametrize(
    ("words", "value"), [(["--retry"], True), (["--retry", "true"], True), (["--retry=false"], False), ([], False)]
)
def test_a_switch_stands_alone_or_before_its_value(words, value):
    assert parse(switch(), words).retry is value
    assert parse(switch(), [word.replace("retry", "maybe") for word in words]).maybe is (value if words else None)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["a", "--size", "3", "b", "c"], ["a", "b", "c", "--size", "3"]),
        (["--size=3", "a"], ["a", "--size=3"]),
        (["--size", "-3", "a"], ["a", "--size", "-3"]),
        (["--maybe_size", "-3", "a"], ["a", "--maybe_size", "-3"]),
        (["a", "--maybe_size", "--retry", "b"], ["a", "b", "--maybe_size", "--retry"]),
        (["a", "--retry", "b"], ["a", "b", "--retry"]),
        (["--retry", "false", "a"], ["a", "--retry", "false"]),
        (["--tasks", "age", "gender", "--size", "3", "a"], ["a", "--tasks", "age", "gender", "--size", "3"]),
        (["--data.sources.init_args.count", "3", "a"], ["a", "--data.sources.init_args.count", "3"]),
        ([], []),
    ],
)
def test_positionals_may_stand_among_options(words, first):
    parser = switch()
    parser.add_argument("names", nargs="*", type=str)
    parser.add_argument("--size", type=int)
    parser.add_argument("--maybe_size", type=int, nargs="?", const=5)
    parser.add_argument("--tasks", nargs="+", type=str)
    with reading(parser, words):
        assert positionals_first(parser, words) == first


def test_networks_and_pictures_may_stand_among_options(tmp_path, capsys):
    assert run("evaluate", "a.csv", "--output", str(tmp_path / "x"), "b.csv") == 2
    assert "a.csv" in capsys.readouterr().err
    assert run("predict", str(tmp_path / "1.png"), "--format", "csv", str(tmp_path / "2.png")) == 2
    assert "unrecognized" not in capsys.readouterr().err


def test_lightnings_own_switches_do_so_too(tmp_path, capsys):
    config = write_config(tmp_path)
    words = ["--trainer.detect_anomaly", "--trainer.barebones", "true", "--model.compile", "--figures.graph", "false"]
    assert run("fit", "--config", config, *words, "--print_config") == 0
    said = yaml.safe_load(capsys.readouterr().out)
    assert said["trainer"]["detect_anomaly"] is said["trainer"]["barebones"] is said["model"]["compile"] is True
    assert said["figures"]["graph"] is False


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "--treads", "2", "a.jpg"], "--treads: no such setting; near it: --threads"),
        (["predict", "--batch-size", "2", "a.jpg"], "--batch-size: no such setting; near it: --batch_size"),
        (["fit", "--model.learning_rat", "1"], "near it: --model.learning_rate"),
        (["fit", "--model.class_path", "my_ideas.MyModule"], "near it: --module"),
        (["fit", "--learning_rate", "1"], "near it: --model.learning_rate"),
        (["data", "--shet", "x.png"], "near it: --sheet"),
        (["evaluate", "x", "--output", "r", "--data", "data/own.yaml"], "a file goes after --config"),
        (["evaluate", "a.csv", "--output", "x", "--splitt", "val"], "near it: --split"),
        (["export", "--checkpoint", "x", "--output", "y", "--int8.percentil", "99"], "near it: --int8.percentile"),
    ],
)
def test_a_wrong_option_names_the_nearest_right_one(words, said, capsys):
    assert run(*words) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_key_of_a_config_is_named_with_its_file(tmp_path, capsys):
    config = write_config(tmp_path, data={"augmentation": {"turns": 3}})
    assert run("fit", "--config", config) == 2
    assert (
        f"{config}: data.augmentation.turns: no such setting; near it: data.augmentation.turn"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["data.sources.init_args.count", "model.task_weights.age", "trainer.callbacks.step"])
def test_parts_of_a_value_are_no_typos(name, tmp_path, capsys):
    assert run("fit", "--config", write_config(tmp_path), f"--{name}", "0", "--data.imag_size", "32") == 2
    assert capsys.readouterr().err.startswith("error: --data.imag_size: no such")


def test_nothing_near_is_nothing_said():
    assert nearest("xyzzy", ["model.dropout"]) == []
    with pytest.raises(ConfigError, match=r"^--xyzzy: no such setting$"):
        parse(switch(), ["--xyzzy"])


def test_help_says_defaults_and_no_types():
    parser = switch()
    parser.add_argument("--rounds", type=int, default=3, help="calls")
    said = parser.format_help()
    assert parser.formatter_class is Help and "calls (default: 3)" in said and "type:" not in said


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "64-true", "64", "transformer-engine"])
def test_a_precision_that_does_not_train_is_refused_before_anything_is_made(precision, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("fit", "--config", write_config(tmp_path), "--trainer.precision", precision) == 2
    said = capsys.readouterr().err
    assert "precision" in said and "Traceback" not in said and not Path("lightning_logs").exists()
    assert len(said.strip().splitlines()) == 1
