import pytest

from smart_retail.errors import ConfigError
from smart_retail.sweep.command import of_trials
from smart_retail.sweep.plan import SweepSettings


def plan(**settings):
    return SweepSettings(**{"name": "study", "configs": [], "configurations": {"one": {}}} | settings)


def test_a_grid_has_every_combination_in_a_steady_order():
    search = {"model.learning_rate": [1e-3, 1e-2], "model.age_head": ["distribution", "regression"]}
    points = plan(sampler="grid", search=search).planned()
    assert list(points) == ["grid_000", "grid_001", "grid_002", "grid_003"]
    assert points["grid_001"] == {"model.learning_rate": 1e-3, "model.age_head": "regression"}
    assert len({tuple(point.values()) for point in points.values()}) == 4


def test_a_configuration_has_the_last_word_and_each_seed_its_own_order_of_faces():
    words = plan(settings={"data.seed": 7, "ema.decay": 0.9}).fit_words({"ema.decay": 0.5}, 3, "study/one/seed_3")
    assert "--seed_everything=3" in words and "--data.seed=7" in words and "--ema.decay=0.5" in words
    assert "--data.seed=3" in plan().fit_words({}, 3, "study/one/seed_3")


def test_words_of_fit_on_the_command_line_hold_for_all_trials():
    own, settings = of_trials(
        ["--config", "x.yaml", "--data.seed", "1", "--settings.data.workers=0", "--epochs", "2", "--search.a.b", "[1]"]
    )
    assert own == ["--config", "x.yaml", "--epochs", "2", "--search.a.b", "[1]"]
    assert settings == {"data.seed": 1, "data.workers": 0}
    with pytest.raises(ConfigError, match=r"data\.seed needs a value"):
        of_trials(["--data.seed"])
    with pytest.raises(ConfigError, match=r"data\.seed \["):
        of_trials(["--data.seed=["])


def test_minutes_are_counted_over_all_resumptions():
    assert plan(minutes=90).budget_words() == ["--trainer.max_time=00:01:30:00"]
    assert plan(minutes=2, epochs=3).budget_words(seconds_used=50) == [
        "--trainer.max_epochs=3",
        "--trainer.max_time=00:00:01:10",
    ]


def test_the_root_is_that_of_the_settings_or_else_of_the_last_config(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"trainer: {{default_root_dir: /{name}}}")
    configs = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    assert plan(configs=configs).root == "/b"
    assert plan(configs=configs, settings={"trainer.default_root_dir": "/c"}).root == "/c"
    assert plan().root == "."


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": "grid", "search": {"a": {"low": 0, "high": 1}}}, "a grid needs a list"),
        ({"sampler": "tpe", "search": {"a": {"low": 2, "high": 1}}}, "low 2"),
        ({"sampler": "random", "search": {"a": {"low": 0, "high": 1, "log": True}}}, "log needs a low above 0"),
        ({"sampler": "tpe", "search": {}}, "needs search"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"minutes": 0}, "minutes 0"),
        ({"configurations": {"a/b": {}}}, "becomes a folder"),
        ({"configurations": {"..": {}}}, "becomes a folder"),
        ({"name": ".."}, "becomes a folder"),
    ],
)
def test_what_cannot_work_is_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        plan(**settings)
