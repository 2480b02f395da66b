"""Which models are compared: MODEL or NAME=MODEL of the command line, and their names in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from smart_retail.errors import ConfigError

TABLES = (".parquet", ".csv")
SAME_EVERYWHERE = ("best", "last", "model", "predictions", "bundle")


class ModelSpec(NamedTuple):
    """One MODEL of the command line; ``named`` if it came with a name."""

    name: str
    path: Path
    named: bool

    @property
    def is_table(self) -> bool:
        """Whether it holds predictions."""
        return self.path.suffix.lower() in TABLES


def model_specs(arguments: Sequence[str]) -> list[ModelSpec]:
    """Return the models with their names, each name once.

    Raises:
        ConfigError: two models are given one name.
    """
    found: list[ModelSpec] = []
    for argument in arguments:
        name, _, path = ("", "", argument) if Path(argument).exists() else argument.rpartition("=")
        taken = [other.name for other in found]
        if name in taken:
            raise ConfigError(f"two models are called {name}; give each a name of its own")
        found.append(ModelSpec(name or _unique(_name_of(Path(path)), taken), Path(path), bool(name)))
    return found


def _name_of(path: Path) -> str:
    """Return the name of a model's file, with that of its run where files are all called the same."""
    parts = [p for p in path.parts if p not in ("/", ".", "..", "checkpoints", "lightning_logs")]
    plain = path.stem if path.suffix in (*TABLES, ".ckpt", ".pth", ".safetensors") else path.name
    return "/".join([*parts[-3:-1], plain]) if plain in SAME_EVERYWHERE or plain.startswith("version_") else plain


def _unique(name: str, taken: Sequence[str]) -> str:
    number = 1 + sum(other == name or other.startswith(f"{name} (") for other in taken)
    return name if number == 1 else f"{name} ({number})"
