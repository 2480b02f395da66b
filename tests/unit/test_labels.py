from smart_retail import EMOTIONS, GENDERS
from smart_retail.labels import AGE_BINS, AGE_MAX, AGE_MIN


def test_male_is_0_and_female_1():
    assert GENDERS == ("male", "female")


def test_emotions_have_the_order_of_the_contract():
    assert EMOTIONS == ("angry", "fear", "happy", "neutral", "sad", "surprise")


def test_every_year_of_the_age_range_has_a_bin():
    assert AGE_MAX - AGE_MIN + 1 == AGE_BINS
