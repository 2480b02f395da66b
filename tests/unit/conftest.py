"""A tiny network, its bundle, and faces of nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from smart_retail.contract import Contract
from smart_retail.data.datamodule import normalise
from smart_retail.export.export import ExportSettings, drawn_faces, export_bundle
from smart_retail.export.gate import Gate
from smart_retail.export.onnx import export_network
from smart_retail.models.load import load_model, network_from
from smart_retail.quantise.int8 import Int8Settings
from tests.helpers.batches import settle

SIZE = 32
SETTINGS = {
    "backbone": "mobileone_s0",
    "pretrained": False,
    "dropout": 0.0,
    "age_head": "distribution",
    "age_sigma": 2.0,
    "identity_start": True,
}
OPEN = Gate(points=100, years=100)
QUICK = ExportSettings(int8=Int8Settings(calibration_faces=32), gate=OPEN)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network that tells its data: synthetic faces."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    sources = [{"class_path": "SyntheticFaces", "init_args": {"count": 300, "every_label": True}}]
    crops = torch.from_numpy(drawn_faces(SIZE, 64)).permute(0, 3, 1, 2)
    network = settle(network_from(SETTINGS), normalise(crops, Contract(image_size=SIZE)))
    content = {
        "model_state_dict": network.state_dict(),
        "hyper_parameters": SETTINGS,
        "contract": Contract(image_size=SIZE).to_dict(),
        "made_by": {"config": yaml.safe_dump({"data": {"sources": sources}})},
    }
    torch.save(content, folder / "model.pth")
    return folder / "model.pth"


@pytest.fixture(scope="session")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle; copy it before changing it."""
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export_bundle(checkpoint, folder, QUICK)
    return folder


@pytest.fixture(scope="session")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The FP32 file of that network, its weights in 32 bits: what INT8 is made from."""
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_network(load_model(checkpoint), path, drawn_faces(SIZE, 16), ages=False)
    return path


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    """(4, 32, 32, 3) drawings."""
    return drawn_faces(SIZE)
