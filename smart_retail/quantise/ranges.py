"""Range calibration: the range of every activation on real faces, streamed through histograms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from smart_retail.quantise.graph import weights_of
from smart_retail.quantise.recorder import Recorder

BINS = 2048
Range = tuple[float, float]


def activations(model: onnx.ModelProto, operators: Sequence[str]) -> list[str]:
    """Return the tensors that go into and come out of the quantised operators, weights apart."""
    constants = weights_of(model)
    names: dict[str, None] = {}
    for node in model.graph.node:
        if node.op_type in operators:
            names |= dict.fromkeys([*node.input, *node.output])
    return [name for name in names if name and name not in constants]


def find_ranges(
    recorder: Recorder, crops: np.ndarray, *, methods: Sequence[str], percentile: float
) -> dict[str, dict[str, Range]]:
    """Return, by method, the range of every recorded activation.

    Two passes for all methods: the extremes first, then histograms between them, so that memory holds one batch.

    Args:
        recorder: of the network.
        crops: (N, S, S, 3) uint8 RGB faces.
        methods: ``minmax``; ``percentile`` cuts the tails; ``mse`` cuts where rounding and clipping
            together cost least (Banner et al. 2019, arXiv:1810.05723, by search).
        percentile: share in percent that stays inside, for ``percentile``.
    """
    low = dict.fromkeys(recorder.names, 0.0)
    high = dict.fromkeys(recorder.names, 0.0)
    for batch in recorder.batches(crops, "calibration: extremes"):
        for name, values in batch.items():
            low[name], high[name] = min(low[name], float(values.min())), max(high[name], float(values.max()))
    found = {"minmax": {name: (low[name], high[name]) for name in recorder.names}}
    if set(methods) == {"minmax"}:
        return found
    counts = {name: np.zeros(BINS) for name in recorder.names}
    for batch in recorder.batches(crops, "calibration: histograms"):
        for name, values in batch.items():
            counts[name] += np.histogram(values, BINS, (low[name], max(high[name], low[name] + 1e-6)))[0]
    for method in set(methods) - {"minmax"}:
        found[method] = {
            name: _cut(counts[name], low[name], max(high[name], low[name] + 1e-6), method, percentile)
            for name in recorder.names
        }
    return {method: found[method] for method in methods}


def _cut(counts: np.ndarray, low: float, high: float, method: str, percentile: float) -> Range:
    edges = np.linspace(low, high, BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    # What a ReLU set to zero is exact in any range and must not decide where the tail begins.
    if low >= 0:
        counts = counts.copy()
        counts[0] = 0
    if counts.sum() == 0:
        return low, high
    if method == "percentile":
        shares = np.cumsum(counts) / counts.sum()
        tail = (100 - percentile) / 100
        # One tail each: activations after a ReLU have only the upper one.
        top = edges[1:][np.searchsorted(shares, 1 - tail)] if high > 0 else high
        bottom = edges[np.searchsorted(shares, tail)] if low < 0 else low
        return min(0.0, float(bottom)), max(0.0, float(top))
    best, found = np.inf, (low, high)
    for share in np.linspace(0.3, 1.0, 71):
        bottom, top = low * share, high * share
        step = (top - bottom) / 255
        clipped = np.clip(centres, bottom, top)
        rounded = np.round((clipped - bottom) / step) * step + bottom
        error = float((counts * (rounded - centres) ** 2).sum())
        if error < best:
            best, found = error, (bottom, top)
    return found
