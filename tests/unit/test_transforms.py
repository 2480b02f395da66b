import numpy as np
import pytest

from smart_retail.data.corruptions import KINDS
from smart_retail.data.crops import Square, crop_square, whole_image
from smart_retail.data.transforms import Augmentation, TrainTransform
from smart_retail.errors import ConfigError
from tests.helpers.pictures import drawn_face

FACE = drawn_face(0, 64)
SQUARE = whole_image(FACE)
BEFORE = [120.9, 113.1, 119.7, 103.7, 113.6, 119.9, 95.2, 92.1, 115.8, 112.6, 118.5, 133.2, 158.5, 114.7, 111.6, 120.9]
"""Means of the drawn face with the seeds from 0, as they were before there were corruptions."""
ONLY = {"zoom": 0, "shift": 0, "turn": 0, "grey": 0, "degrade": 0, "light": 0, "occlude": 0}


def augmented(seed, *, size=48, face=FACE, **settings):
    return TrainTransform(Augmentation(**settings))(face, SQUARE, size, seed)


def test_the_same_seed_gives_the_same_image():
    transform = TrainTransform(Augmentation())
    first = transform(FACE, SQUARE, 48, 7)
    transform(FACE, SQUARE, 48, 8)
    assert (transform(FACE, SQUARE, 48, 7) == first).all()


def test_a_fresh_transform_gives_the_same_image_too():
    assert (augmented(7) == augmented(7)).all()


def test_seeds_differ():
    images = {augmented(seed).tobytes() for seed in range(30)}
    assert len(images) == 30


def test_large_seeds_are_fine():
    assert augmented(2**63 - 1).shape == (48, 48, 3)


def test_numpys_and_pythons_global_random_numbers_do_not_matter():
    np.random.seed(1)
    first = augmented(7)
    np.random.seed(2)
    assert (augmented(7) == first).all()


def test_the_result_is_a_contiguous_rgb_image_of_the_size():
    image = augmented(3, size=40)
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((40, 40, 3), np.uint8, True)


def test_strength_0_is_the_plain_crop():
    for seed in range(5):
        assert (augmented(seed, strength=0) == crop_square(FACE, SQUARE, 48)).all()


def test_half_of_the_faces_are_mirrored():
    images = [augmented(seed, size=64, **ONLY) for seed in range(200)]
    mirrored = [(image == FACE[:, ::-1]).all() for image in images]
    assert all(m or (image == FACE).all() for m, image in zip(mirrored, images, strict=True))
    assert sum(mirrored) == pytest.approx(100, abs=30)


def test_grey_comes_as_often_as_its_probability():
    greys = [(np.ptp(augmented(seed, **ONLY | {"grey": 0.3}), axis=2) == 0).all() for seed in range(200)]
    assert sum(greys) == pytest.approx(60, abs=25)


def test_effects_do_not_all_fire_together():
    """albumentations' set_random_seed gives every transform one stream: grey would come with every patch."""
    grey, dark = [], []
    for seed in range(150):
        image = augmented(
            seed, face=np.full((64, 64, 3), (200, 90, 60), np.uint8), **ONLY | {"grey": 0.5, "occlude": 0.5}
        )
        grey.append((np.ptp(image[0, 0].astype(int)) == 0) or (np.ptp(image[-1, -1].astype(int)) == 0))
        dark.append((image == 0).all(axis=2).any())
    pairs = {(bool(g), bool(d)) for g, d in zip(grey, dark, strict=True)}
    assert len(pairs) == 4


def test_a_patch_covers_a_part_never_most_of_the_face():
    shares = [(augmented(s, **ONLY | {"occlude": 1.0}) == 0).all(axis=2).mean() for s in range(50)]
    assert 0 < max(shares) < 0.2


def test_more_strength_changes_more():
    def change(strength):
        plain = crop_square(FACE, SQUARE, 48).astype(float)
        images = [augmented(s, strength=strength) for s in range(40)]
        # The nearer of the image and its mirror: mirroring is no matter of strength.
        return np.mean([min(np.abs(i - plain).mean(), np.abs(i[:, ::-1] - plain).mean()) for i in images])

    assert change(0.2) < change(1.0) < change(2.0)


def test_jitter_moves_the_crop_by_at_most_the_configured_shift():
    image = np.zeros((100, 100, 3), np.uint8)
    image[48:52, 48:52] = 255
    transform = TrainTransform(Augmentation(**ONLY | {"shift": 0.1}))
    centres = []
    for seed in range(60):
        crop = transform(image, Square(50, 50, 100), 100, seed)[..., 0]
        centres.append(np.argwhere(crop > 100).mean(0) - 49.5)
    offsets = np.abs(centres)
    assert offsets.max() <= 10.6
    assert offsets.max() > 6


@pytest.mark.parametrize("strength", [-0.1, 2.5])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(ConfigError, match="outside 0 to 2"):
        Augmentation(strength=strength)


def test_without_corruptions_the_draws_are_those_of_before():
    images = [augmented(seed) for seed in range(len(BEFORE))]
    assert [image.mean() for image in images] == pytest.approx(BEFORE, abs=0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_own_switch(kind):
    images = [augmented(seed, size=64, **ONLY, corrupt={kind: 1.0}, severity=4) for seed in range(6)]
    assert not any((image == FACE).all() or (image == FACE[:, ::-1]).all() for image in images)


def test_corruptions_leave_the_other_draws_alone():
    """Whichever faces are spared by a kind look as without it."""
    plain = [augmented(seed) for seed in range(60)]
    some = [augmented(seed, corrupt={"noise": 0.5}, severity=4) for seed in range(60)]
    same = sum((a == b).all() for a, b in zip(plain, some, strict=True))
    assert 15 < same < 45
    none = [augmented(seed, corrupt={"noise": 0.0}) for seed in range(60)]
    assert all((a == b).all() for a, b in zip(plain, none, strict=True))


def test_a_kind_comes_for_the_same_faces_whichever_others_there_are():
    def grey(**others):
        corrupt = {"grey": 0.5} | others
        faces = [augmented(seed, **ONLY, corrupt=corrupt, severity=4) for seed in range(40)]
        return [np.ptp(face.astype(int), axis=2).mean() for face in faces]

    alone, cut = grey(), grey(cut=1.0)
    assert np.corrcoef(alone, cut)[0, 1] > 0.8


def test_strength_scales_how_often_kinds_come_and_severity_how_hard():
    def share(**settings):
        images = [augmented(seed, size=64, **ONLY | settings) for seed in range(120)]
        return np.mean([not ((image == FACE).all() or (image == FACE[:, ::-1]).all()) for image in images])

    def depth(severity):
        images = [augmented(seed, size=64, **ONLY, corrupt={"blurred": 1}, severity=severity) for seed in range(30)]
        return np.mean([image.astype(float).std() for image in images])

    assert share(corrupt={"dark": 0.4}, strength=0) == 0
    assert share(corrupt={"dark": 0.4}, strength=0.5) == pytest.approx(0.2, abs=0.11)
    assert share(corrupt={"dark": 0.4}) == pytest.approx(0.4, abs=0.13)
    assert share(corrupt={"dark": 0.4}, strength=2) == pytest.approx(0.8, abs=0.11)
    assert share(corrupt={"dark": 1.0}, severity=0) == 0
    assert depth(4) < depth(2) < depth(0.5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"corrupt": {"fog": 0.1}}, "'fog' is none of the ways to worsen faces: off centre, .*motion"),
        ({"corrupt": {"motion": 1.5}}, "motion 1.5 is outside 0 to 1"),
        ({"corrupt": {"motion": -0.1}}, "motion -0.1 is outside 0 to 1"),
        ({"severity": 4.5}, "severity 4.5 is outside 0 to 4"),
    ],
)
def test_corruptions_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        Augmentation(**settings)
