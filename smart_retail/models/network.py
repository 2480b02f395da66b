"""FaceNet: any timm backbone with a head for each task. Pure PyTorch."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

import timm
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from smart_retail.contract import Contract
from smart_retail.errors import ConfigError
from smart_retail.models.bounded import ACTIVATION_LIMIT, bound_activations
from smart_retail.models.heads import Head, make_head
from smart_retail.models.initialisation import identity_init
from smart_retail.models.memory_layout import decimate_pointwise
from smart_retail.models.pretrained import start_from
from smart_retail.own_code import way_in
from smart_retail.tasks import TASKS, Task


class RawOutputs(NamedTuple):
    """What the losses need of B faces.

    Attributes:
        heads: by task the output of its head: logits of classes, (B, 101) logits or (B, 1) decades of ages.
        features: (B, F) pooled features of the backbone.
    """

    heads: dict[str, Tensor]
    features: Tensor


@cache
def outputs_type(tasks: tuple[str, ...]) -> Any:
    """Return the named tuple of what a network with these tasks answers: (B, C) logits or (B, 1) years each."""
    return namedtuple("FaceOutputs", tasks)  # type: ignore[misc]


class FaceNet(nn.Module):
    """One backbone, a head for each task.

    >>> gender_logits, age_pred, emotion_logits = model(images)
    """

    heads: Any

    def __init__(
        self,
        backbone: str = "mobileone_s2",
        *,
        tasks: tuple[Task, ...] = TASKS,
        pretrained: bool = False,
        init_weights: str | None = None,
        reparameterised: bool = False,
        dropout: float = 0.3,
        age: str = "distribution",
        age_sigma: float = 2.0,
        heads: Mapping[str, str | Mapping[str, Any]] | None = None,
        identity_start: bool = True,
        activation_limit: float | None = ACTIVATION_LIMIT,
        image_size: int | None = None,
    ) -> None:
        """Build the network.

        Args:
            backbone: name of a timm network.
            tasks: what it learns, in the order of its outputs.
            pretrained: start from timm's weights (ImageNet; needs a network or timm's cache).
            init_weights: start from a file, a bundle or a package instead, see ``models.pretrained``.
            reparameterised: blocks are single convolutions, as they are deployed; so is what starts from a bundle.
            dropout: on the pooled features, in training.
            age: ``distribution`` or ``regression``.
            age_sigma: width of the target distribution in years.
            heads: by task classes of one's own, see ``heads.make_head``.
            identity_start: start blocks without a true skip as the identity (see
                ``models.initialisation``); without effect on a pretrained or other backbone.
            activation_limit: of the same blocks, see ``models.bounded``; None for plain ReLUs.
            image_size: side in pixels of the images, for backbones that are built for one size
                (vision transformers); None leaves them at their own.

        Raises:
            ConfigError: timm knows no such backbone, a value is out of range, or weights do not fit.
            CheckpointError: a file of weights is missing or damaged.
        """
        super().__init__()
        if not 0 <= dropout < 1:
            raise ConfigError(f"dropout {dropout} is outside 0 to 1")
        if not timm.is_model(backbone):
            near = ", ".join(get_close_matches(backbone, timm.list_models())) or "nothing (see timm.list_models())"
            raise ConfigError(f"timm has no backbone {backbone!r}; near it: {near}; if it is your own, {way_in('')}")
        try:
            self.backbone = timm.create_model(backbone, pretrained=pretrained, num_classes=0)
        except Exception as error:  # a download lets through whatever its HTTP stack raises
            if not pretrained:
                raise
            raise ConfigError(
                f"cannot get pretrained weights for {backbone} ({type(error).__name__}); without a network "
                "connection put them into timm's cache, or set pretrained to false"
            ) from error
        if image_size is not None and hasattr(self.backbone, "set_input_size"):
            self.backbone.set_input_size(img_size=image_size)
        if identity_start and not pretrained:
            identity_init(self.backbone)
        if activation_limit is not None:
            bound_activations(self.backbone, activation_limit)
        decimate_pointwise(self.backbone)
        # MobileNetV3 and its like have a wider layer behind the last feature map; the rest name one width.
        features = getattr(self.backbone, "head_hidden_size", None) or self.backbone.num_features
        self.dropout = nn.Dropout(dropout)
        for task in tasks:
            if hasattr(nn.ModuleDict, task.name):
                raise ConfigError(f"task {task.name!r}: PyTorch's containers have this name; choose another")
        own = dict(heads or {})
        if unknown := sorted(own.keys() - {task.name for task in tasks}):
            raise ConfigError(f"heads names {', '.join(unknown)}; tasks are {', '.join(task.name for task in tasks)}")
        self.heads = nn.ModuleDict(
            {t.name: make_head(t, features, years=age, sigma=age_sigma, own=own.get(t.name)) for t in tasks}
        )
        self.feature_width = features
        self.contract = Contract(tasks=tasks)
        self.misfits = start_from(self, init_weights) if init_weights else []
        if reparameterised:
            reparameterize_model(self, inplace=True)

    def raw(self, images: Tensor) -> RawOutputs:
        """Run backbone and heads on (B, 3, S, S) float32, normalised RGB."""
        features = self.backbone(images)
        hidden = self.dropout(features)
        return RawOutputs({name: head(hidden) for name, head in self.heads.items()}, features)

    def decode(self, raw: RawOutputs) -> Any:
        """Turn what the heads say into answers: logits of classes, years."""
        answers = [self.head(name).decode(output) for name, output in raw.heads.items()]
        return outputs_type(tuple(raw.heads))(*answers)

    def head(self, task: str) -> Head:
        """Return the head of a task."""
        head: Head = self.heads[task]
        return head

    def forward(self, images: Tensor) -> Any:
        """Judge (B, 3, S, S) float32, normalised RGB; return a named tuple, an answer for each task."""
        return self.decode(self.raw(images))
