"""ONNX Runtime sessions, opened the same way by predictor, gate, verification and benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smart_retail.contract import Contract
from smart_retail.edge.processor import saturates
from smart_retail.errors import BundleError, ConfigError, one_line

if TYPE_CHECKING:
    import onnxruntime as ort

FLOAT, BYTES = "float32", "uint8"
Feed = Callable[[np.ndarray], dict[str, np.ndarray]]
"""(N, S, S, 3) uint8 RGB crops to outputs by name."""


def open_session(path: str | Path, *, threads: int = 1) -> ort.InferenceSession:
    """Open an ONNX file on the CPU.

    Args:
        path: the file.
        threads: of one call; 0 for one a core.

    Raises:
        BundleError: ONNX Runtime cannot read it.
        ConfigError: onnxruntime is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ConfigError("onnxruntime is missing: pip install 'smart_retail[edge]'") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # x86 kernels without VNNI add pairs of signed products in 16 bits, and 8 bit weights overflow there.
    # This makes them unsigned, which does not. With VNNI the answers are the same without it, and it
    # would halve the speed.
    if saturates():
        options.add_session_config_entry("session.x64quantprecision", "1")
    # Threads that spin between two images eat the cores that decode and detect.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads != 1 else "1")
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        raise BundleError(f"{path}: ONNX Runtime cannot read it ({one_line(error)})") from error


def check_session(session: ort.InferenceSession, contract: Contract, outputs: tuple[str, ...], path: Path) -> None:
    """Compare inputs and outputs of a network with what is promised.

    Raises:
        BundleError: they differ.
    """
    answers = session.get_outputs()
    names = tuple(o.name for o in answers)
    if names != outputs:
        raise BundleError(f"{path} answers {', '.join(names)}; the manifest promises {', '.join(outputs)}")
    s = contract.image_size
    forms = {"tensor(float)": [3, s, s], "tensor(uint8)": [s, s, 3]}
    inputs = session.get_inputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != forms.get(inputs[0].type):
        raise BundleError(f"{path} takes {[i.shape for i in inputs]}; the contract says faces of {s} px")
    widths = {task.name: len(task.classes) or 1 for task in contract.tasks}
    for answer in answers:
        width = widths.pop(answer.name, None)
        if answer.type != "tensor(float)" or len(answer.shape) != 2 or width not in (None, answer.shape[1]):
            raise BundleError(f"{path} answers {answer.name} as {answer.type} {answer.shape}, not as it should")
    if widths:
        raise BundleError(f"{path} says nothing of {', '.join(widths)}")


def feed(session: ort.InferenceSession, crops: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    """Run crops through a network, preprocessed as its input asks for.

    Args:
        session: with a float32 or a uint8 input.
        crops: (N, S, S, 3) uint8 RGB.
        contract: of the network.

    Returns:
        (N, ...) float32 by the name of the output.

    Raises:
        BundleError: the network fails.
    """
    entry = session.get_inputs()[0]
    images = np.ascontiguousarray(crops) if entry.type == "tensor(uint8)" else normalise(crops, contract)
    try:
        values = session.run(None, {entry.name: images})
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        raise BundleError(f"the network cannot be run on {len(crops)} faces ({one_line(error)})") from error
    return {o.name: v for o, v in zip(session.get_outputs(), values, strict=True)}


def normalise(crops: np.ndarray, contract: Contract) -> np.ndarray:
    """Turn (N, S, S, 3) uint8 RGB into the contract's (N, 3, S, S) normalised float32."""
    mean = np.array(contract.mean, np.float32) * 255
    std = np.array(contract.std, np.float32) * 255
    # Bytes are turned into planes first: whole planes divide ten times as fast as interleaved channels.
    planes = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
    planes -= mean[:, None, None]
    planes /= std[:, None, None]
    return planes
