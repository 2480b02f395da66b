"""FaceDataModule: all data sets merged, masked, balanced and augmented."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from smart_retail.contract import CROPS, Contract
from smart_retail.cores import usable_cores
from smart_retail.data.dataset import FaceBatch, FaceDataset
from smart_retail.data.index import FaceIndex, SplitSettings, build_index
from smart_retail.data.labels import ages
from smart_retail.data.left_out import left_out, why_empty
from smart_retail.data.sampler import BalancedSampler, OrderedSampler, face_weights
from smart_retail.data.soft_targets import read_soft_targets, taught_tasks
from smart_retail.data.sources.base import Source, labelled
from smart_retail.data.transforms import Augmentation, TrainTransform
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import tasks_of

PATIENCE = 0.5
"""Seconds at the program's end for its daemons to end by themselves."""


class FaceDataModule(pl.LightningDataModule):
    """Merges face data sets with different labels into masked batches."""

    def __init__(
        self,
        sources: list[Source] = [],  # noqa: B006 - only read
        tasks: dict[str, dict[str, Any] | None] | None = None,
        image_size: int = 224,
        crop: str = "upright",
        progressive: dict[int, int] | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        workers: int | None = None,
        balance: float = 0.0,
        age_balance: float = 0.0,
        epoch_size: int | None = None,
        limit_train: int | None = None,
        limit_eval: int | None = None,
        splits: SplitSettings = SplitSettings(),  # noqa: B008 - frozen
        augmentation: Augmentation = Augmentation(),  # noqa: B008 - frozen
        own_augmentation: list[Callable[..., Any]] = [],  # noqa: B006 - only read
        soft_targets: str | None = None,
        max_broken: float = 0.01,
        seed: int = 0,
    ) -> None:
        """Configure the data; nothing is read before ``setup``.

        Args:
            sources: the data sets, one entry each.
            tasks: what is learnt beside gender, age and emotion, by name: ``{glasses: {classes: [none, glasses]}}``;
                ``{emotion: null}`` leaves one of these out. See ``tasks.tasks_of``.
            image_size: side in pixels for the test and the export, and for training unless
                ``progressive`` says otherwise.
            crop: how squares follow from landmarks: ``upright``, or ``eyes`` as the first networks were fed.
            progressive: side in pixels for training, and for the validation within it, by the epoch
                from which it holds, for example ``{0: 48, 10: 64}``: small images first are cheap epochs.
            batch_size: faces a training step, per process.
            eval_batch_size: faces a validation or test step, per process.
            workers: loader processes; None leaves one core to training, 0 loads in the main process, and a
                negative number is counted from the cores: -2 for two fewer than there are.
            balance: 0 shows data sets in proportion to their size, 1 equally often.
            age_balance: 0 leaves ages as they are, 1 shows age groups equally often.
            epoch_size: faces an epoch; None for as many as there are.
            limit_train: use only this many training faces, drawn by the seed.
            limit_eval: likewise for validation and test each.
            splits: shares, leaks, contradictions.
            augmentation: how training images are changed.
            own_augmentation: functions of your own that change them afterwards, as ``[my_ideas.glare]``; see
                docs/extend.md.
            soft_targets: file of ``smart-retail soft_targets``: what teachers predict of the training faces.
            max_broken: share of unreadable and missing images above which a run stops.
            seed: of the order, the balance and the augmentation.
        """
        super().__init__()
        self.sources, self.image_size = sources, image_size
        self.sizes = {0: image_size} | (progressive or {})
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        workers = -1 if workers is None else workers
        self.workers = max(1, usable_cores() + workers) if workers < 0 else workers
        self.balance, self.age_balance, self.epoch_size = balance, age_balance, epoch_size
        self.limit_train, self.limit_eval = limit_train, limit_eval
        self.splits, self.augmentation, self.own_augmentation = splits, augmentation, own_augmentation
        self.soft_targets, self.max_broken, self.seed = soft_targets, max_broken, seed
        self.contract = Contract(image_size=image_size, crop=crop, tasks=tasks_of(tasks))
        for name, size in [("image_size", image_size), *(("progressive", s) for s in self.sizes.values())]:
            if size < 32:
                raise ConfigError(f"data.{name} {size} is too small: backbones shrink images 32 times")
        for name in ("seed", "batch_size", "eval_batch_size", "epoch_size", "limit_train", "limit_eval"):
            if (value := getattr(self, name)) is not None and value < (least := int(name != "seed")):
                raise ConfigError(f"data.{name} {value} must be {least} or more")
        if not 0 <= balance <= 1 or not 0 <= age_balance <= 1:
            raise ConfigError(f"data.balance {balance} and data.age_balance {age_balance} must be in 0 to 1")
        if self.sizes[max(self.sizes)] != image_size:
            raise ConfigError(f"data.progressive {progressive} must end with data.image_size {image_size}")
        if crop not in CROPS:
            raise ConfigError(f"data.crop {crop!r} is none of {', '.join(CROPS)}")
        self._index: FaceIndex | None = None
        self._parts: dict[str, FaceDataset] = {}
        self._position = (0, 0)

    @property
    def index(self) -> FaceIndex:
        """The faces; listed, scanned and split at the first use."""
        if self._index is None:
            self._index = build_index(self.sources, self.splits, self.contract.tasks, max_broken=self.max_broken)
            rank_zero_only(_tell)(left_out(self._index))
        return self._index

    def prepare_data(self) -> None:
        """Download, draw and hash what is missing; on one process only."""
        _ = self.index

    def setup(self, stage: str) -> None:
        """Make the parts ready.

        Raises:
            DataError: a split has no face.
        """
        needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ("train", "val", "test"))
        for split in needed:
            self.dataset(split)

    def unlabelled_tasks(self) -> list[str]:
        """Return the tasks for which no training face has a label."""
        faces = self.index.part("train")
        return [task.name for task in self.contract.tasks if not labelled(faces, task).any()]

    def taught_tasks(self) -> list[str]:
        """Return the tasks that there are stored soft targets for; none without such a file."""
        soft = self.dataset("train").soft
        return [] if soft is None else taught_tasks(soft)

    def dataset(self, split: str) -> FaceDataset:
        """Return the faces of one split, augmented if it is ``train``.

        Raises:
            DataError: the split has no face.
        """
        if split not in self._parts:
            faces = self.index.part(split)
            limit = self.limit_train if split == "train" else self.limit_eval
            if limit is not None and limit < len(faces):
                faces = faces.sample(limit, random_state=self.seed).sort_index()
            if faces.empty:
                raise DataError(why_empty(self.index, split))
            self._parts[split] = FaceDataset(
                faces.reset_index(drop=True),
                self.index.datasets,
                contract=self.contract,
                transform=TrainTransform(self.augmentation, self.own_augmentation) if split == "train" else None,
                max_broken=self.max_broken,
            )
            if split == "train" and self.soft_targets:
                part = self._parts[split]
                part.soft = read_soft_targets(Path(self.soft_targets), part.keys, self.contract.tasks)
        return self._parts[split]

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the training loader, placed where a resumed run stopped.

        Raises:
            ConfigError: ``trainer.overfit_batches`` is set.
        """
        data = self.dataset("train")
        trainer = self.trainer
        if getattr(trainer, "overfit_batches", 0):
            raise ConfigError(
                "trainer.overfit_batches would replace the sampler, and with it image sizes and augmentation; to learn "
                "a few faces by heart add --config configs/debug/overfit.yaml"
            )
        years = ages(data.labels, self.contract.tasks)
        sampler = BalancedSampler(
            face_weights(data.datasets.numpy(), years, balance=self.balance, age_balance=self.age_balance),
            epoch_size=self.epoch_size or len(data),
            sizes=self.sizes,
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        batch_size = min(self.batch_size, len(sampler))
        sampler.resume(*self._position)
        self._position = (0, 0)
        return self._loader(data, batch_size=batch_size, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation loader."""
        return self._eval_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the test loader."""
        return self._eval_loader("test")

    def _eval_loader(self, split: str) -> DataLoader[Any]:
        data, trainer = self.dataset(split), self.trainer
        if trainer and len(data) < trainer.world_size:
            raise DataError(f"{len(data)} faces of the {split} part are too few for {trainer.world_size} processes")
        fitting = trainer is not None and trainer.state.fn == "fit"
        sampler = OrderedSampler(
            len(data),
            sizes=self.sizes if fitting else {0: self.image_size},
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return self._loader(data, batch_size=self.eval_batch_size, sampler=sampler)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch to go on with and the faces of it that this rank has seen already.

        Lightning restores its counters but not the place in the data.
        """
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_progress.current
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if done >= self.trainer.num_training_batches:  # after the last batch of an epoch the next starts afresh
            return {"epoch": progress.ready, "faces": 0}
        return {"epoch": progress.processed, "faces": done * self.batch_size, "ranks": self.trainer.world_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the place up; Lightning calls this before it makes the training loader.

        Raises:
            ConfigError: the place is in the middle of an epoch that another number of processes shares.
        """
        now, then = self.trainer.world_size if self.trainer else 1, state_dict.get("ranks", 1)
        if state_dict["faces"] and now != then:
            raise ConfigError(
                f"the checkpoint was written by {then} processes in the middle of an epoch, and this run has {now}: go "
                f"on with {then} (trainer.devices, trainer.num_nodes) to the end of the epoch, or from best.ckpt"
            )
        self._position = (state_dict["epoch"], state_dict["faces"])

    def _loader(self, data: FaceDataset, **settings: Any) -> DataLoader[Any]:
        return DataLoader(
            data,
            num_workers=self.workers,
            collate_fn=data.collate,
            persistent_workers=self.workers > 0 and data.transform is not None,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_quiet_worker,
            # Its own: else loaders draw from the dropout's random numbers, as often as there are workers.
            generator=torch.Generator(),
            **settings,
        )

    def on_after_batch_transfer(self, batch: FaceBatch, dataloader_idx: int) -> FaceBatch:
        """Normalise on the device: workers pass on bytes, a quarter of the floats' size."""
        return batch._replace(image=normalise(batch.image, self.contract))


def _tell(lines: list[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def normalise(images: torch.Tensor, contract: Contract) -> torch.Tensor:
    """Turn (B, 3, S, S) uint8 RGB into the contract's normalised float32."""
    # Without non_blocking a GPU finishes all that it has still to do before it takes six numbers.
    mean, std = (
        torch.tensor(values).view(3, 1, 1).to(images.device, non_blocking=True) * 255
        for values in (contract.mean, contract.std)
    )
    return (images.float() - mean) / std


def denormalise(images: torch.Tensor, contract: Contract) -> torch.Tensor:
    """Turn normalised (B, 3, S, S) back into uint8 RGB, to look at."""
    mean = torch.tensor(contract.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(contract.std, device=images.device).view(3, 1, 1)
    return ((images.float() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)


def _quiet_worker(worker: int) -> None:
    # One thread a worker: the cores are shared with the training step.
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    # A terminal sends Ctrl-C to the workers too, torchrun and SLURM send SIGTERM; the main process still
    # needs them for its last step. They end with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@atexit.register
def _end_workers() -> None:
    # At its end Python sends SIGTERM to daemons and waits for them: without end for a worker of a loader
    # that is still in use, as after an error, for that worker ignores it. Daemons of others do not, and go first.
    daemons = [child for child in multiprocessing.active_children() if child.daemon]
    for child in daemons:
        child.terminate()
    end = time.monotonic() + PATIENCE
    for child in daemons:
        child.join(max(0.0, end - time.monotonic()))
        child.kill()
