"""Weights of the FP32 file in 16 bits, as many as leave its answers as they are."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from smart_retail.contract import Contract
from smart_retail.edge.runtime import feed, open_session
from smart_retail.export.onnx import PARITY
from smart_retail.quantise.compact import half_weights

log = logging.getLogger(__name__)


def store_in_halves(path: Path, crops: np.ndarray, contract: Contract) -> float:
    """Store the weights of the last layers of a float32 file in 16 bits, as many as the answers allow.

    What rounding changes in an early layer grows on its way through the later ones, and those are the large ones.

    Returns:
        The largest deviation that this brings, relative to the largest output; 0 where nothing was changed.
    """
    before = feed(open_session(path), crops, contract)
    content, found = path.read_bytes(), 0.0
    count = half_weights(onnx.load_from_string(content))
    few, many = 0, count + 1  # so many are right, so many too many
    with TemporaryDirectory() as folder:
        small = Path(folder) / path.name
        while many - few > 1:
            tried = count if many > count else (few + many) // 2
            model = onnx.load_from_string(content)
            half_weights(model, tried)
            onnx.save(model, small)
            after = feed(open_session(small), crops, contract)
            worst = float(np.max([np.abs(after[n] - v).max() / max(1.0, np.abs(v).max()) for n, v in before.items()]))
            if worst <= PARITY:
                few, found = tried, worst
                shutil.copyfile(small, path)
            else:
                many = tried
    if few < count:
        log.info("weights of the last %d of %d layers are stored in 16 bits, the others in 32", few, count)
    return found
