"""What an open network is to the rest: a new runtime is one class with these members, see ``edge.runtime``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

Provider = str | tuple[str, Mapping[str, Any]]
"""What computes, by the runtime's name for it (``cuda``, ``CUDAExecutionProvider``), alone or with its options."""


class Port(NamedTuple):
    """One input or output of a network: its name, the kind of its elements as NumPy names it, None for any size."""

    name: str
    kind: str
    shape: tuple[int | None, ...]


class Session(Protocol):
    """An open network. It may also have ``run_only(images, names)``, which returns the outputs of these names alone.

    Attributes:
        inputs: of the file.
        outputs: of the file, in their order.
        metadata: that the file carries.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Mapping[str, str]

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """Return the outputs for a batch of images, which are as the file's input asks for."""


class Runtime(Protocol):
    """What opens ONNX files: a class of sessions."""

    @staticmethod
    def precisions(providers: Sequence[Provider]) -> Sequence[str]:
        """Return what these providers are fast with, the best first, of ``int8``, ``fp16`` and ``fp32``.

        Raises:
            ConfigError: one of them is not there.
        """

    def __call__(self, path: Path, *, threads: int, providers: Sequence[Provider], half: bool) -> Session:
        """Open a file.

        Args:
            path: ONNX file.
            threads: of one call on the CPU; 0 for one a core.
            providers: in the order of preference; none for the CPU.
            half: let the provider compute in 16 bits.

        Raises:
            ConfigError: the runtime or a provider is not there.
            Exception: the runtime's own, if it cannot read the file.
        """
