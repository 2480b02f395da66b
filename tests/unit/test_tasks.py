import pytest

from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.sources.base import label_columns
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.errors import ConfigError
from smart_retail.evaluation.judging import select
from smart_retail.tasks import EMOTION, EMOTIONS, GENDERS, TAKEN, TASKS, Task, task_of, tasks_of

GLASSES = {"classes": ["none", "glasses", "sunglasses"]}


def test_male_is_0_and_female_1():
    assert GENDERS == ("male", "female")


def test_emotions_have_the_order_of_the_contract():
    assert EMOTIONS == ("angry", "fear", "happy", "neutral", "sad", "surprise")


def test_a_task_of_ones_own_stands_behind_the_default_ones():
    assert tasks_of({"glasses": GLASSES}) == (*TASKS, Task("glasses", classes=("none", "glasses", "sunglasses")))


def test_without_settings_the_tasks_are_the_default_ones():
    assert tasks_of(None) == tasks_of({}) == TASKS


def test_a_default_task_can_be_left_out():
    assert [task.name for task in tasks_of({"emotion": None, "glasses": GLASSES})] == ["gender", "age", "glasses"]


def test_no_task_is_called_as_a_column_of_an_index():
    faces = select(build_index([SyntheticFaces(count=60)], SplitSettings(), workers=1), "train")
    assert set(faces) - set(label_columns(TASKS)) <= TAKEN


def test_a_second_head_of_one_vocabulary_is_no_opinion_on_the_first_any_more():
    *_, emotion, original = tasks_of({"emotion_original": {"classes": list(EMOTIONS)}})
    assert emotion.opinions == ("emotion_crowd",)
    assert original.classes == emotion.classes


def test_a_task_survives_plain_types():
    assert task_of(EMOTION.to_dict()) == EMOTION
    assert [task_of(task.to_dict()) for task in TASKS] == list(TASKS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"glasses": {"classes": [False, True]}}, "class False is no name in lower case .* need quotation marks"),
        ({"glasses": {"classes": ["no"]}}, "1 classes, not 2"),
        ({"glasses": {"classes": ["no", "no"]}}, "two of its classes have one name"),
        ({"glasses": {"classes": ["No", "Yes"]}}, "'No' is no name in lower case"),
        ({"glasses": ["no", "yes"]}, r"write \{classes: \[no, yes\]\}"),
        ({"glasses": {"class": ["no", "yes"]}}, "is no task"),
        ({"two words": GLASSES}, "use letters, digits and underscores"),
        ({"class": GLASSES}, "use letters, digits and underscores"),
        ({"race": GLASSES}, "this name is taken"),
        ({"pose": GLASSES}, "this name is taken"),
        ({"Glasses": GLASSES}, "write it in lower case"),
        ({"level": {"classes": ["1", "2"]}}, "class '1' is a number"),
        ({"gender_balanced": GLASSES}, "a column or figure of that name belongs to gender"),
        ({"mood": {"classes": ["sad", "happy"], "opinions": ["emotion_crowd"]}}, "other classes for one column"),
        ({"age_low": GLASSES}, "a column or figure of that name belongs to age"),
        ({"hat": None}, "no such task to leave out"),
        ({"height": {"kind": "metres"}}, "kind 'metres' is none of classes, years"),
        ({"looks": {"kind": "years", "classes": ["a", "b"]}}, "years have no classes"),
        (dict.fromkeys(("gender", "age", "emotion")), "there must be one at least"),
    ],
)
def test_tasks_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        tasks_of(settings)
