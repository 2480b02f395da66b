import numpy as np
import pytest

from smart_retail.data.splits import (
    LEAKED,
    RANK,
    assign_splits,
    contradictions,
    exclude_training,
)
from smart_retail.errors import ConfigError
from smart_retail.tasks import TASKS
from tests.helpers.tables import face_table

SHARES = {"val_share": 0.2, "test_share": 0.2, "seed": 0, "drop_leaks": True}


def random_faces(seed):
    """Three data sets, one without, one with half and one with a whole official split, and many duplicates."""
    rng = np.random.default_rng(seed)
    dataset = rng.choice(["free", "half", "whole"], 300)
    official = np.where(
        dataset == "free",
        "",
        np.where(dataset == "half", rng.choice(["train", "val"], 300), rng.choice(["train", "val", "test"], 300)),
    )
    return face_table(rng.integers(120, size=300), official=official, dataset=dataset)


@pytest.mark.parametrize("seed", range(8))
def test_no_cluster_is_on_two_sides(seed):
    faces = random_faces(seed)
    split = assign_splits(faces, **SHARES)["split"]
    used = split != ""
    assert (split[used].groupby(faces["cluster"][used]).nunique() == 1).all()


@pytest.mark.parametrize("seed", range(8))
def test_official_faces_never_change_to_a_less_protected_side(seed):
    faces = random_faces(seed)
    split = assign_splits(faces, **SHARES | {"drop_leaks": False})["split"]
    known = faces["official"] != ""
    assert (split[known].map(RANK) >= faces["official"][known].map(RANK)).all()


@pytest.mark.parametrize("seed", range(4))
def test_official_test_faces_are_all_tested(seed):
    faces = random_faces(seed)
    split = assign_splits(faces, **SHARES)["split"]
    assert (split[faces["official"] == "test"] == "test").all()


def test_faces_of_one_picture_are_on_one_side():
    faces = face_table(range(200), keys=[f"a/{i // 2}.jpg" + "#2" * (i % 2) for i in range(200)])
    faces["picture"] = faces["key"].str.removesuffix("#2")
    split = assign_splits(faces, **SHARES)["split"].to_numpy().reshape(-1, 2)
    assert (split[:, 0] == split[:, 1]).all() and len(np.unique(split)) == 3


def test_shares_are_about_what_was_asked_for():
    split = assign_splits(face_table(range(4000)), val_share=0.1, test_share=0.3, seed=0, drop_leaks=True)["split"]
    shares = split.value_counts(normalize=True)
    assert shares["val"] == pytest.approx(0.1, abs=0.02)
    assert shares["test"] == pytest.approx(0.3, abs=0.03)


def test_a_share_of_zero_leaves_the_part_empty():
    split = assign_splits(face_table(range(200)), val_share=0, test_share=0, seed=0, drop_leaks=True)["split"]
    assert set(split) == {"train"}


def test_the_seed_decides_the_split():
    faces = face_table(range(200))
    a, b, c = (assign_splits(faces, **SHARES | {"seed": seed})["split"].tolist() for seed in (0, 0, 1))
    assert a == b
    assert a != c


def test_adding_a_data_set_moves_no_other_face():
    few = face_table(range(100), dataset="a")
    many = face_table(range(200), dataset=["a"] * 100 + ["b"] * 100)
    assert assign_splits(many, **SHARES)["split"][:100].tolist() == assign_splits(few, **SHARES)["split"].tolist()


def test_removing_a_face_moves_no_other_face():
    faces = face_table(range(100))
    fewer = faces.drop(index=[0, 17, 50])
    assert assign_splits(fewer, **SHARES)["split"].equals(assign_splits(faces, **SHARES)["split"].drop([0, 17, 50]))


def test_the_order_of_the_faces_does_not_matter():
    faces = random_faces(0)
    mixed = faces.sample(frac=1, random_state=0)
    assert assign_splits(mixed, **SHARES).sort_index().equals(assign_splits(faces, **SHARES))


def test_a_missing_test_part_is_made_of_the_official_validation():
    faces = face_table(range(200), official=["train"] * 150 + ["val"] * 50)
    split = assign_splits(faces, **SHARES)["split"]
    assert set(split[150:]) == {"test"}
    assert set(split[:150]) == {"train", "val"}


def test_a_whole_official_split_stays():
    official = ["train"] * 50 + ["val"] * 20 + ["test"] * 30
    assert assign_splits(face_table(range(100), official=official), **SHARES)["split"].tolist() == official


def test_a_training_duplicate_of_a_test_face_is_set_aside_with_its_reason():
    faces = face_table([0, 0, 1], official=["train", "test", "val"])
    out = assign_splits(faces, **SHARES)
    assert out["split"].tolist() == ["", "test", "val"]
    assert out["excluded"].tolist() == [LEAKED, "", ""]
    assert out["leaks"].tolist() == [True, False, False]


def test_leaks_are_counted_even_where_they_are_kept():
    faces = face_table([0, 0, 1], official=["train", "test", "val"])
    out = assign_splits(faces, **SHARES | {"drop_leaks": False})
    assert out["split"].tolist() == ["train", "test", "val"]
    assert out["leaks"].tolist() == [True, False, False]


def test_a_free_face_follows_its_duplicate_in_another_data_sets_test():
    faces = face_table([0, 0, 1, 2], official=["", "test", "train", "val"], dataset=["a", "b", "b", "b"])
    assert assign_splits(faces, **SHARES | {"val_share": 0, "test_share": 0})["split"][0] == "test"


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.1), (0.1, 1.0)])
def test_shares_without_training_are_refused(shares):
    with pytest.raises(ConfigError, match="must leave something for training"):
        assign_splits(face_table([0, 1]), val_share=shares[0], test_share=shares[1], seed=0, drop_leaks=True)


def test_labels_that_disagree_in_a_cluster_are_contradictions():
    faces = face_table([0, 0, 1, 1, 2, 2], gender=[0, 1, 1, 1, None, 1], age=[3, 3, 4, 5, None, 9], emotion=[None] * 6)
    marks = contradictions(faces, TASKS)
    assert marks["gender"].tolist() == [True, True, False, False, False, False]
    assert marks["age"].tolist() == [False, False, True, True, False, False]
    assert not marks["emotion"].any()


def test_only_training_faces_are_excluded():
    faces = face_table([0, 1, 2]).assign(split=["train", "val", "test"], excluded="")
    exclude_training(faces, faces["cluster"] >= 0, "why")
    assert faces["split"].tolist() == ["", "val", "test"]
    assert faces["excluded"].tolist() == ["why", "", ""]


def test_ranges_of_ages_contradict_where_no_age_lies_in_all_of_them():
    faces = face_table(
        [1, 1, 2, 2, 3, 3, 4, 4],
        age=[None, None, None, None, 25, None, 31, None],
        age_low=[20, 25, 20, 30, None, 20, None, 20],
        age_high=[29, 34, 29, 39, None, 29, None, 29],
    )
    assert contradictions(faces, TASKS)["age"].tolist() == [False] * 2 + [True] * 2 + [False] * 2 + [True] * 2
