"""Channel equalisation of an exported network, before it is quantised."""

from __future__ import annotations

import numpy as np
import onnx

from smart_retail.contract import Contract


def equalise(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> int:
    """Scale channels between convolutions; to come."""
    return 0
