"""Which models are compared: the words that name them, and what they are called in the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_retail.errors import ConfigError

TABLES = (".parquet", ".csv")


@dataclass(frozen=True)
class ModelSpec:
    """One MODEL of the command line."""

    name: str
    path: Path
    named: bool = False
    """Whether the name was given, not made."""

    @property
    def is_table(self) -> bool:
        """Whether it holds predictions."""
        return self.path.suffix.lower() in TABLES


def name_models(words: Sequence[str]) -> list[ModelSpec]:
    """Return the models with their names, each name once.

    Raises:
        ConfigError: two models are given one name.
    """
    found: list[ModelSpec] = []
    for word in words:
        name, _, path = word.rpartition("=")
        if not name or Path(word).exists():
            name, path = "", word
        if name and any(a.name == name for a in found):
            raise ConfigError(f"two models are called {name}; give each a name of its own")
        found.append(ModelSpec(name or _unique(_name_of(Path(path)), [a.name for a in found]), Path(path), bool(name)))
    return found


def _name_of(path: Path) -> str:
    """Return what tells a model apart: its file's name, and its run's where files are all called the same."""
    parts = [p for p in path.parts if p not in ("/", ".", "..", "checkpoints", "lightning_logs")]
    plain = path.stem if path.suffix in (*TABLES, ".ckpt", ".pth", ".safetensors") else path.name
    if plain in ("best", "last", "model", "predictions", "bundle") or plain.startswith("version_"):
        plain = "/".join([*parts[-3:-1], plain]) if parts[:-1] else plain
    return plain


def _unique(name: str, taken: Sequence[str]) -> str:
    number = 1 + sum(1 for other in taken if other == name or other.startswith(f"{name} ("))
    return name if number == 1 else f"{name} ({number})"
