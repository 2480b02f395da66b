import multiprocessing
import os
import pickle
import signal
import subprocess
import sys

import pytest
import torch
from torch.utils._pytree import tree_leaves

from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule, normalise
from smart_retail.data.index import SplitSettings
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.errors import ConfigError, DataError
from tests.helpers.children import HANGS
from tests.helpers.trees import write_fer2013, write_table, write_utkface


def module(*sources, **settings):
    sources = sources or (SyntheticFaces(count=64),)
    return FaceDataModule(list(sources), **{"image_size": 32, "batch_size": 8, "workers": 0} | settings)


def train_batches(data, epoch=0):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def same(first, second):
    leaves = tree_leaves(first), tree_leaves(second)
    return all(torch.equal(a, b) for a, b in zip(*leaves, strict=True) if isinstance(a, torch.Tensor))


@pytest.fixture(scope="module")
def alone():
    return train_batches(module())


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(alone, workers):
    assert same(alone, train_batches(module(workers=workers)))


@pytest.mark.parametrize(("workers", "processes"), [(None, 7), (-2, 6), (-9, 1), (0, 0), (3, 3)])
def test_workers_are_a_number_or_as_many_as_cores_less_some(monkeypatch, workers, processes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert module(workers=workers).workers == processes


def test_cores_are_counted_where_no_process_is_bound_to_some(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert module(workers=None).workers == 4


def test_loaders_of_systems_without_fork_see_the_same_augmentations(alone):
    data = module()
    data.dataset("train").transform = pickle.loads(pickle.dumps(data.dataset("train").transform))
    assert same(alone, train_batches(data))


def test_epochs_show_other_augmentations(alone):
    def by_row(batches):
        return {int(r): image for b in batches for r, image in zip(b.row, b.image, strict=True)}

    first, second = by_row(alone), by_row(train_batches(module(), epoch=1))
    common = first.keys() & second.keys()
    assert len(common) > 20
    assert not any(torch.equal(first[row], second[row]) for row in common)


def test_persistent_workers_show_other_augmentations_in_the_next_epoch():
    data = module(workers=1)
    loader = data.train_dataloader()
    first = list(loader)
    loader.sampler.set_epoch(1)
    assert same(list(loader), train_batches(module(), epoch=1))
    assert same(first, train_batches(module(), epoch=0))


def test_ctrl_c_leaves_the_workers_to_finish_the_step():
    """A terminal sends it to them too; the run then saves, which takes the batches of the running step."""
    iterator = iter(module(workers=1, batch_size=4).train_dataloader())
    first = next(iterator)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
    rest = list(iterator)
    assert len(first.row) == 4
    assert len(rest) > 5


LEFT_OPEN = """
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sources.synthetic import SyntheticFaces
loader = FaceDataModule([SyntheticFaces(24)], image_size=32, batch_size=4, workers=1).train_dataloader()
batches = iter(loader)
next(batches)
print("working", flush=True)
"""


@pytest.mark.slow
def test_a_loader_in_use_does_not_keep_the_program_from_ending():
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=HANGS)
    assert (done.returncode, done.stdout) == (0, "working\n"), done.stderr


def test_the_seed_repeats_an_epoch_and_another_changes_it(alone):
    assert same(alone, train_batches(module(seed=0)))
    assert not same(alone, train_batches(module(seed=1)))


def test_training_faces_come_once_an_epoch(alone):
    rows = torch.cat([batch.row for batch in alone]).tolist()
    assert len(set(rows)) == len(rows) == len(module().dataset("train")) // 8 * 8


def test_validation_shows_every_face_once_in_order():
    data = module(eval_batch_size=3)
    rows = torch.cat([batch.row for batch in data.val_dataloader()]).tolist()
    assert rows == list(range(len(data.dataset("val"))))


def test_sources_with_different_labels_merge_into_masked_batches(tmp_path):
    data = module(FER2013(str(write_fer2013(tmp_path / "fer", 4))), UTKFace(str(write_utkface(tmp_path / "utk", 30))))
    batch = next(iter(data.train_dataloader()))
    fer = batch.dataset == 0
    assert 0 < fer.sum() < 8
    assert torch.equal(batch.labels["emotion"] >= 0, fer)
    assert torch.equal(batch.labels["age"] >= 0, ~fer)


def test_balance_shows_a_small_data_set_as_often_as_a_large_one(tmp_path):
    data = module(
        SyntheticFaces(count=64), UTKFace(str(write_utkface(tmp_path, 10))), balance=1.0, epoch_size=160, batch_size=160
    )
    (batch,) = data.train_dataloader()
    assert batch.dataset.bincount().tolist() == pytest.approx([80, 80], abs=8)


def test_progressive_sizes_change_with_the_epoch():
    data = module(progressive={0: 40, 2: 64}, image_size=64)
    assert [train_batches(data, e)[0].image.shape[-1] for e in (0, 1, 2)] == [40, 40, 64]
    assert next(iter(data.val_dataloader())).image.shape[-1] == 64


def test_limits_draw_that_many_faces():
    data = module(limit_train=16, limit_eval=2)
    assert (len(data.dataset("train")), len(data.dataset("val"))) == (16, 2)


def test_a_batch_larger_than_the_data_still_gives_a_step():
    assert len(train_batches(module(limit_train=5, batch_size=64))) == 1


def test_a_split_without_a_face_is_a_data_error():
    with pytest.raises(DataError, match=r"no face in the val part of synthetic; change data\.splits"):
        module(SyntheticFaces(count=4), splits=SplitSettings(val_share=0.0)).setup("fit")


def test_tasks_without_a_training_label_are_known(tmp_path):
    text = "path,age,emotion,split\na.jpg,3,,train\nb.jpg,4,happy,val\nc.jpg,4,,test\n"
    table = write_table(tmp_path, text, ["a.jpg", "b.jpg", "c.jpg"])
    assert list(module(FaceTable(str(table))).unlabelled_tasks()) == ["gender", "emotion"]


@pytest.mark.parametrize("settings", [{"image_size": 16}, {"progressive": {0: 16}}, {"batch_size": 0}])
def test_sizes_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError, match=r"data\."):
        module(**settings)


def test_normalising_gives_zero_mean_and_unit_deviation_of_the_contracts_statistics():
    contract = Contract(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixels = torch.tensor([255, 0, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalise(pixels, contract).flatten().tolist() == pytest.approx([1.0, -1.0, 1.0])


def test_the_loader_passes_on_bytes_and_the_device_gets_floats():
    data = module()
    batch = next(iter(data.train_dataloader()))
    assert batch.image.dtype == torch.uint8
    moved = data.on_after_batch_transfer(batch, 0)
    assert moved.image.dtype == torch.float32
    assert torch.equal(moved.image, normalise(batch.image, Contract()))


def test_every_face_of_the_index_is_in_at_most_one_part():
    data = module()
    keys = [set(data.index.part(split)["key"]) for split in ("train", "val", "test")]
    assert sum(map(len, keys)) == len(set.union(*keys)) == 64
