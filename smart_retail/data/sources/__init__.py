"""The data sets, one file each. Adding one means writing one ``Source`` and naming it here.

Whoever reads configs imports this package: then the short name of a class does as its ``class_path``.
"""

from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.data.sources.fairface import FairFace
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.folder import FaceFolder
from smart_retail.data.sources.packed import PackedFaces
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import UTKFace

__all__ = ["FER2013", "AllAgeFaces", "FaceFolder", "FaceTable", "FairFace", "PackedFaces", "SyntheticFaces", "UTKFace"]
