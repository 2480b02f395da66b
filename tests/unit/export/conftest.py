"""A tiny network with a task of one's own, and its bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from smart_retail.contract import Contract
from smart_retail.data.datamodule import normalise
from smart_retail.data.face_crops import read_index
from smart_retail.export.export import ExportSettings, drawn_faces, export_bundle
from smart_retail.export.gate import Gate
from smart_retail.models.load import network_from
from smart_retail.quantise.int8 import Int8Settings
from smart_retail.tasks import tasks_of
from tests.helpers.batches import settle
from tests.unit.conftest import SETTINGS, SIZE

GLASSES = {"glasses": {"classes": ["none", "glasses"]}}


@pytest.fixture(scope="session")
def own_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network that also says who wears glasses."""
    torch.manual_seed(0)
    sources = [{"class_path": "SyntheticFaces", "init_args": {"count": 300, "every_label": True}}]
    settings, config = SETTINGS | {"tasks": GLASSES}, {"data": {"sources": sources, "tasks": GLASSES}}
    crops = torch.from_numpy(drawn_faces(SIZE, 64)).permute(0, 3, 1, 2)
    contract = Contract(image_size=SIZE, tasks=tasks_of(GLASSES))
    network = settle(network_from(settings), normalise(crops, contract))
    content = {
        "model_state_dict": network.state_dict(),
        "hyper_parameters": settings,
        "contract": contract.to_dict(),
        "made_by": {
            "config": yaml.safe_dump(config),
            "data_fingerprint": read_index(config, contract.tasks).fingerprint(),
        },
        "global_step": 12,
    }
    path = tmp_path_factory.mktemp("own") / "model.pth"
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def own(own_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle."""
    folder = tmp_path_factory.mktemp("bundles") / "own"
    gate = Gate(points=100, years=100, tasks={"glasses": 100})
    export_bundle(own_checkpoint, folder, ExportSettings(int8=Int8Settings(calibration_faces=32), gate=gate))
    return folder
