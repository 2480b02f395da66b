from pathlib import Path

import numpy as np
import pytest

from smart_retail.data.images import read_image
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.errors import ConfigError


def test_the_same_seed_draws_the_same_pictures():
    a, b = (draw_face(FaceSpec(1, 40, 2), np.random.default_rng(3), 48) for _ in range(2))
    assert (a == b).all()


def test_another_seed_draws_another_face():
    a, b = (draw_face(FaceSpec(1, 40, 2), np.random.default_rng(seed), 48) for seed in (3, 4))
    assert (a != b).any()


@pytest.mark.parametrize("other", [FaceSpec(0, 40, 2), FaceSpec(1, 80, 2), FaceSpec(1, 40, 4)])
def test_each_label_changes_the_picture(other):
    # The look varies with the seed too: averages over many faces show what the label alone does.
    def average(spec):
        return np.mean([draw_face(spec, np.random.default_rng(seed), 48).mean(2) for seed in range(12)], axis=0)

    assert np.abs(average(other) - average(FaceSpec(1, 40, 2))).max() > 15


@pytest.mark.parametrize("labels", [(2, 30, 0), (0, 130, 0), (0, 30, 6)])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match="label out of range"):
        FaceSpec(*labels)


def test_no_face_has_every_label_unless_asked_for():
    partial = SyntheticFaces(count=8).load().faces
    full = SyntheticFaces(count=8, every_label=True).load().faces
    assert (partial["emotion"].notna() != partial["age"].notna()).all()
    assert (partial["gender"].notna() == partial["age"].notna()).all()
    assert full[["gender", "age", "emotion"]].notna().all(axis=None)


def test_files_are_drawn_once():
    paths = SyntheticFaces(count=8).load().faces["path"]
    before = read_image(paths[0])
    times = [p.stat().st_mtime_ns for p in map(Path, paths)]
    SyntheticFaces(count=8).load()
    assert [p.stat().st_mtime_ns for p in map(Path, paths)] == times
    assert before.shape == (96, 96, 3)


def test_no_count_is_a_config_error():
    with pytest.raises(ConfigError, match="count 0"):
        SyntheticFaces(count=0).load()


def test_the_terms_say_that_no_person_is_in_it():
    assert "no real person" in SyntheticFaces(count=8).load().terms
