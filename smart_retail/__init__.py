"""Gender, age and emotion of a face: training, and what it takes to ship it.

The public names load what they need when they are first used; importing the package is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from smart_retail.tasks import EMOTIONS, GENDERS

if TYPE_CHECKING:  # for editors, type checkers and the API reference
    from smart_retail.data.datamodule import FaceDataModule
    from smart_retail.data.sources.all_age_faces import AllAgeFaces
    from smart_retail.data.sources.fairface import FairFace
    from smart_retail.data.sources.fer2013 import FER2013
    from smart_retail.data.sources.folder import FaceFolder
    from smart_retail.data.sources.packed import PackedFaces
    from smart_retail.data.sources.synthetic import SyntheticFaces
    from smart_retail.data.sources.table import FaceTable
    from smart_retail.data.sources.utkface import UTKFace
    from smart_retail.edge.annotate import annotate, draw
    from smart_retail.edge.detector import Detection, Detector, FaceDetector
    from smart_retail.edge.prediction import Face, Prediction
    from smart_retail.edge.predictor import Predictor
    from smart_retail.edge.smoother import TrackSmoother
    from smart_retail.edge.watch import watch
    from smart_retail.export.export import export_bundle
    from smart_retail.models.load import load_model
    from smart_retail.training.module import FaceAttributeModule

__version__ = "0.1.0"
__all__ = [
    "EMOTIONS",
    "FER2013",
    "GENDERS",
    "AllAgeFaces",
    "Detection",
    "Detector",
    "Face",
    "FaceAttributeModule",
    "FaceDataModule",
    "FaceDetector",
    "FaceFolder",
    "FaceTable",
    "FairFace",
    "PackedFaces",
    "Prediction",
    "Predictor",
    "SyntheticFaces",
    "TrackSmoother",
    "UTKFace",
    "annotate",
    "draw",
    "export_bundle",
    "load_model",
    "watch",
]

_HOMES = {
    "AllAgeFaces": "smart_retail.data.sources.all_age_faces",
    "FER2013": "smart_retail.data.sources.fer2013",
    "FaceAttributeModule": "smart_retail.training.module",
    "FaceDataModule": "smart_retail.data.datamodule",
    "Detection": "smart_retail.edge.detector",
    "Detector": "smart_retail.edge.detector",
    "Face": "smart_retail.edge.prediction",
    "FaceDetector": "smart_retail.edge.detector",
    "FaceFolder": "smart_retail.data.sources.folder",
    "FaceTable": "smart_retail.data.sources.table",
    "FairFace": "smart_retail.data.sources.fairface",
    "PackedFaces": "smart_retail.data.sources.packed",
    "Prediction": "smart_retail.edge.prediction",
    "Predictor": "smart_retail.edge.predictor",
    "SyntheticFaces": "smart_retail.data.sources.synthetic",
    "TrackSmoother": "smart_retail.edge.smoother",
    "UTKFace": "smart_retail.data.sources.utkface",
    "annotate": "smart_retail.edge.annotate",
    "draw": "smart_retail.edge.annotate",
    "export_bundle": "smart_retail.export.export",
    "load_model": "smart_retail.models.load",
    "watch": "smart_retail.edge.watch",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
