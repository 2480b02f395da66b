from argparse import ArgumentError

import pytest

from smart_retail.errors import ConfigError
from smart_retail.sweep.command import read_plan
from smart_retail.sweep.settings import SweepSettings


def plan(**settings):
    return SweepSettings(**{"name": "study", "configs": [], "configurations": {"one": {}}} | settings)


def test_a_grid_has_every_combination_in_a_steady_order():
    search = {"model.learning_rate": [1e-3, 1e-2], "model.age_head": ["distribution", "regression"]}
    points = plan(sampler="grid", search=search).planned()
    assert list(points) == ["grid_000", "grid_001", "grid_002", "grid_003"]
    assert points["grid_001"] == {"model.learning_rate": 1e-3, "model.age_head": "regression"}
    assert len({tuple(point.values()) for point in points.values()}) == 4


def test_a_configuration_has_the_last_word_and_each_seed_its_own_order_of_faces():
    given = plan(settings={"data.seed": 7, "ema.decay": 0.9}).fit_arguments({"ema.decay": 0.5}, 3, "study/one/seed_3")
    assert "--seed_everything=3" in given and "--data.seed=7" in given and "--ema.decay=0.5" in given
    assert "--data.seed=3" in plan().fit_arguments({}, 3, "study/one/seed_3")


def test_a_configuration_may_add_one_file_or_several_to_those_of_all():
    for files in ("b.yaml", ["b.yaml"]):
        assert plan(configs=["a.yaml"]).fit_arguments({"config": files}, 0, "x")[1:3] == [
            "--config=a.yaml",
            "--config=b.yaml",
        ]


def test_budgets_are_equal_whatever_a_configuration_says():
    given = plan(minutes=90, epochs=3).fit_arguments({"trainer.max_epochs": 9}, 0, "x")
    assert [word for word in given if "max" in word] == [
        "--trainer.max_epochs=3",
        '--trainer.max_time={"seconds": 5400}',
    ]
    assert '--trainer.max_time={"seconds": 1}' in plan(minutes=0.001).fit_arguments({}, 0, "x")
    refit = plan(minutes=90, epochs=3).fit_arguments({}, 0, "x", epochs=7)
    assert [word for word in refit if "max" in word] == ["--trainer.max_epochs=7"]


def test_settings_of_fit_on_the_command_line_hold_for_all_trials(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "{name: study, configs: [], configurations: {a: {}}, settings: {ema.decay: 0.5, data.workers: 2}}"
    )
    own = ["--config", str(tmp_path / "x.yaml"), "--epochs", "2", "--configurations.b.data.seed", "1", "--retry"]
    options, given = read_plan([*own, "--data.seed", "1", "--settings.data.workers=0"])
    assert given.settings == {"ema.decay": 0.5, "data.workers": 0, "data.seed": 1}
    assert given.epochs == 2 and set(given.configurations) == {"a", "b"} and options.retry and not options.table
    with pytest.raises(ConfigError, match=r"data\.seed needs a value"):
        read_plan([*own, "--data.seed"])
    with pytest.raises(ConfigError, match=r"data\.seed \["):
        read_plan([*own, "--data.seed=["])


def test_a_study_lies_below_the_root_of_its_trainings():
    assert str(plan(settings={"trainer.default_root_dir": "/c"}).folder) == "/c/lightning_logs/study"
    assert "--trainer.default_root_dir=/c" in plan(settings={"trainer.default_root_dir": "/c"}).fit_arguments(
        {}, 0, "x"
    )
    assert str(plan().folder) == "lightning_logs/study"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": "grid", "search": {"a": {"low": 0, "high": 1}}}, "a grid needs a list"),
        ({"sampler": "tpe", "search": {"a": {"low": 2, "high": 1}}}, "search.a.*'low': 2"),
        ({"sampler": "tpe", "search": {"a": {"low": 2, "high": 3, "base": 2}}}, "base"),
        ({"sampler": "random", "search": {"a": {"low": 0, "high": 1.0, "log": True}}}, "search.a.*low, high, log"),
        ({"sampler": "tpe", "search": {"a": []}}, r"search.a.*\[\]"),
        ({"sampler": "tpe", "search": {}}, "needs search"),
        ({"configurations": {}}, "needs configurations"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"configurations": {"a/b": {}}}, "becomes a folder"),
        ({"configurations": {"..": {}}}, "becomes a folder"),
        ({"name": ".."}, "becomes a folder"),
        ({"settings": {"data.seed": b"1"}}, "only numbers.*bytes"),
    ],
)
def test_what_cannot_work_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        plan(**settings)


@pytest.mark.parametrize(
    "words", [["--sampler", "nearest"], ["--minutes", "0"], ["--grace_period", "-1"], ["--refit", "0"]]
)
def test_an_option_that_cannot_work_is_refused_with_its_value(words):
    with pytest.raises(ArgumentError) as refused:
        read_plan(["--name", "study", "--configs", "[]", "--configurations", "{a: {}}", *words])
    assert words[0] in str(refused.value) or f"{words[0][2:]}" in str(refused.value)
    assert words[1] in str(refused.value)


def test_a_misspelt_option_is_named_with_the_one_near_it():
    with pytest.raises(ConfigError, match=r"--nam: no such setting; near it: --name"):
        read_plan(["--name", "study", "--configurations", "{a: {}}", "--nam", "x"])
