import cv2
import numpy as np
import pytest

from smart_retail.data import transforms
from smart_retail.data.corruptions import KINDS, OFF_CENTRE, WORST, amount_of, corrupt, known_kinds, shift
from smart_retail.data.coverings import EYE_GAP, EYES_Y, MOUTH_Y
from smart_retail.data.crops import Square
from smart_retail.errors import ConfigError
from smart_retail.evaluation import robustness
from tests.helpers.pictures import drawn_face

SIDE = 112
FACE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8), (0, 0), 2)
CHANGES = [kind for kind in KINDS if kind != OFF_CENTRE]
REPORTED = {
    "grey": (25, 50, 75, 100),
    "blurred": (1, 2, 3, 5),
    "dark": (60, 40, 20, 10),
    "JPEG": (50, 25, 10, 5),
    "small": (32, 24, 16, 10),
    "off centre": (5, 10, 20, 30),
    "covered": (5, 10, 20, 40),
}


def worse(kind, severity, seed=0, face=FACE):
    return corrupt(face, [(kind, severity)], np.random.default_rng(seed))


def change(kind, severity, face=FACE):
    pictures = [worse(kind, severity, seed, face).astype(float) for seed in range(12)]
    return np.mean([np.abs(picture - face).mean() for picture in pictures])


@pytest.mark.parametrize("kind", CHANGES)
def test_the_same_seed_gives_the_same_picture(kind):
    first, again = worse(kind, 2, 7), worse(kind, 2, 7)
    assert (first.shape, first.dtype) == (FACE.shape, np.uint8)
    assert np.array_equal(first, again)


@pytest.mark.parametrize("kind", KINDS)
def test_severity_0_leaves_the_face_as_it_is(kind):
    assert np.array_equal(worse(kind, 0), FACE)


@pytest.mark.parametrize("kind", CHANGES)
def test_every_severity_changes_more_than_the_one_before(kind):
    changes = [change(kind, severity) for severity in range(WORST + 1)]
    assert np.diff(changes).min() > 0


@pytest.mark.parametrize("kind", CHANGES)
def test_the_face_that_comes_in_is_left_alone(kind):
    before = FACE.copy()
    worse(kind, WORST)
    assert np.array_equal(before, FACE)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("side", [32, 33, 224])
def test_faces_of_any_size_and_light_can_be_worsened(kind, side):
    for value in (0, 255):
        face = np.full((side, side, 3), value, np.uint8)
        for severity in (0.01, 4):
            assert worse(kind, severity, face=face).shape == face.shape


def test_a_fraction_lies_between_the_amounts_of_its_neighbours():
    assert [amount_of("blurred", s) for s in (0, 1, 1.5, 4)] == [0, 1, 1.5, 5]
    assert [amount_of("small", s) for s in (0, 0.5, 1)] == [48, 40, 32]
    assert amount_of("dark", 0.5) == 80


def test_the_amounts_of_earlier_reports_have_not_moved():
    assert {kind: KINDS[kind].amounts for kind in REPORTED} == REPORTED


def test_training_and_report_draw_on_the_same_kinds():
    assert transforms.KINDS is KINDS and robustness.KINDS is KINDS


def test_an_unknown_kind_is_refused_with_a_list():
    with pytest.raises(ConfigError, match=r"'fog' is none of the ways to worsen faces: off centre, .*cut"):
        known_kinds(["motion", "fog"])


@pytest.mark.parametrize("severity", [1, 2, 4])
@pytest.mark.parametrize("seed", range(6))
def test_a_mask_lies_over_the_mouth_and_leaves_the_eyes(severity, seed):
    changed = (worse("masked", severity, seed) != FACE).any(axis=2)
    mouth, eyes = round(MOUTH_Y * SIDE), round(EYES_Y * SIDE)
    across = slice(round(0.35 * SIDE), round(0.65 * SIDE))
    assert changed[mouth - 2 : mouth + 12, across].mean() > 0.97
    assert not changed[: eyes + 4, across].any()


@pytest.mark.parametrize("seed", range(6))
def test_sunglasses_lie_over_both_eyes_and_leave_the_mouth(seed):
    glasses = worse("sunglasses", 4, seed, np.full_like(FACE, 200))
    eyes = round(EYES_Y * SIDE)
    for x in (0.5 - EYE_GAP / 2, 0.5 + EYE_GAP / 2):
        place = round(x * SIDE)
        assert glasses[eyes - 2 : eyes + 4, place - 6 : place + 6].max() < 60
    assert (glasses[SIDE // 2 :] == 200).all()


def test_a_mask_is_darker_where_the_shop_is_darker():
    light, dark = (worse("masked", 4, 2, np.full_like(FACE, value)) for value in (200, 40))
    chin = round(MOUTH_Y * SIDE), SIDE // 2
    assert dark[chin].mean() < 0.5 * light[chin].mean()


def test_noise_is_a_larger_part_of_a_face_in_low_light():
    def noise(severity):
        seen = worse("low light", severity, face=np.full_like(FACE, 120)).astype(float)
        return seen.std() / seen.mean()

    assert noise(1) < noise(2) < noise(4)


def test_shot_noise_grows_with_the_light():
    dark, bright = (worse("noise", 2, face=np.full_like(FACE, value)).std() for value in (60, 180))
    assert 1.2 * dark < bright


def test_a_colour_cast_keeps_a_grey_face_as_bright_and_makes_it_warm_or_cold():
    casts = [worse("colour cast", 2, seed, np.full_like(FACE, 120))[0, 0].astype(int) for seed in range(12)]
    assert {np.sign(red - blue) for red, _, blue in casts} == {-1, 1}
    assert all(abs(cast.mean() - 120) < 6 for cast in casts)


def test_motion_blurs_along_one_line_only():
    point = np.zeros_like(FACE)
    point[SIDE // 2, SIDE // 2] = 255
    seen = worse("motion", 4, 3, point)[..., 0]
    y, x = np.nonzero(seen)
    spread = np.linalg.eigvalsh(np.cov(np.stack([x, y]), aweights=seen[y, x]))
    assert spread[1] > 20 * spread[0]
    assert seen.sum() == pytest.approx(255, abs=30)


def test_a_turned_face_is_narrower_and_as_high():
    face = np.zeros_like(FACE)
    face[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 255
    turned = worse("turned", 4, face=face)[..., 0] > 128
    across, down = turned[SIDE // 2].sum(), turned[:, SIDE // 2].sum()
    assert across == pytest.approx(SIDE // 2 * np.cos(np.radians(45)), abs=3)
    assert down == pytest.approx(SIDE // 2, abs=3)


def test_now_the_left_and_now_the_right_side_comes_nearer():
    face = np.zeros_like(FACE)
    face[SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = 255
    nearer = set()
    for seed in range(12):
        light = worse("turned", 4, seed, face)[..., 0].astype(float)
        nearer.add(bool(light[:, : SIDE // 2].sum() > light[:, SIDE // 2 :].sum()))
    assert nearer == {False, True}


def test_what_is_beyond_the_frame_repeats_its_edge():
    sides = set()
    for seed in range(20):
        seen, beyond = worse("cut", 4, seed), round(0.30 * SIDE)
        for turns in range(4):
            upright, face = np.rot90(seen, turns), np.rot90(FACE, turns)
            if (upright[:beyond] == face[beyond]).all():
                assert np.array_equal(upright[beyond:], face[beyond:])
                sides.add(turns)
    assert sides == {0, 1, 2, 3}


def test_what_follows_a_small_face_meets_its_few_pixels():
    rough = corrupt(np.full_like(FACE, 128), [("small", 3), ("noise", 4)], np.random.default_rng(0)).astype(float)
    step, far = (np.abs(rough[:, gap:] - rough[:, :-gap]).mean() for gap in (1, 12))
    assert step < 0.4 * far


def test_a_drawn_face_stays_off_centre_within_its_reach():
    square = Square(50, 60, 40)
    for seed in range(10):
        moved = shift(square, 20, np.random.default_rng(seed))
        assert np.hypot(moved.x - 50, moved.y - 60) == pytest.approx(8) and moved.side == 40


def test_several_kinds_come_one_after_the_other():
    face = drawn_face(0, SIDE)
    both = corrupt(face, [("grey", 4), ("colour cast", 4)], np.random.default_rng(0))
    assert np.ptp(both.astype(int), axis=2).max() > 20
    assert np.ptp(corrupt(face, [("grey", 4)], np.random.default_rng(0)), axis=2).max() == 0
