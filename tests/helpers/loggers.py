"""Loggers as people bring them: each takes pictures in the way of one service."""

from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger


class Service(Logger):
    """Takes numbers, and has a folder of its own idea."""

    def __init__(self, folder: str = "elsewhere") -> None:
        super().__init__()
        self.folder, self.taken, self.numbers = folder, [], {}

    name = version = "service"

    @property
    def save_dir(self) -> str:
        return self.folder

    @property
    def experiment(self) -> Any:
        return self

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Not kept."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.numbers |= metrics


class AsWandb(Service):
    def log_image(self, key: str, images: list[np.ndarray], step: int | None = None) -> None:
        self.taken.append((key, images[0].shape[2], step))


class AsMLflow(Service):
    run_id = "abc"

    def log_figure(self, run_id: str, figure: Any, artifact_file: str) -> None:
        self.taken.append((run_id, len(figure.axes), artifact_file))


class AsComet(Service):
    def log_figure(self, figure_name: str, figure: Any, step: int | None = None) -> None:
        self.taken.append((figure_name, len(figure.axes), step))


class AsTensorBoard(Service):
    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        self.taken.append((tag, image.shape[2], step))


class Offline(AsWandb):
    def log_image(self, *_: Any, **__: Any) -> None:
        raise ConnectionError("no network")
