"""Networks, opened the same way by predictor, gate, verification and benchmark, whatever runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from smart_retail.contract import Contract
from smart_retail.edge.onnx_runtime import OnnxRuntime
from smart_retail.edge.openvino_runtime import OpenVino
from smart_retail.edge.session import Provider, Runtime, Session
from smart_retail.errors import BundleError, ConfigError, one_line

RUNTIMES: dict[str, Runtime] = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}
"""By name; each imports its library when it is used."""
DEFAULT_RUNTIME = "onnxruntime"
FLOAT, BYTES = "float32", "uint8"
HALF = "fp16"
"""The precision that is no file: the FP32 one, computed in 16 bits."""
Feed = Callable[[np.ndarray], dict[str, np.ndarray]]
"""(N, S, S, 3) uint8 RGB crops to outputs by name."""


def open_session(
    path: str | Path,
    *,
    threads: int = 1,
    runtime: str | Runtime = DEFAULT_RUNTIME,
    providers: Provider | Sequence[Provider] | None = None,
    half: bool = False,
) -> Session:
    """Open an ONNX file.

    Args:
        path: the file.
        threads: of one call on the CPU; 0 for one a core.
        runtime: name of one of ``RUNTIMES``, or a class of one's own that is like them.
        providers: what computes, the preferred first: ONNX Runtime's execution providers (``cpu``, ``cuda``,
            ``tensorrt``, ``openvino``, ``coreml``, ``xnnpack``), OpenVINO's devices; the CPU unless given.
        half: let the provider compute in 16 bits.

    Raises:
        BundleError: the runtime cannot read it.
        ConfigError: the runtime or a provider is not there.
    """
    opened = find_runtime(runtime)
    try:
        return opened(Path(path), threads=threads, providers=as_providers(providers), half=half)
    except ConfigError:
        raise
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        name = runtime if isinstance(runtime, str) else getattr(runtime, "__name__", "the runtime")
        raise BundleError(f"{path}: {name} cannot read it ({one_line(error)})") from error


def find_runtime(runtime: str | Runtime) -> Runtime:
    """Return the runtime of a name; one that is given stays.

    Raises:
        ConfigError: there is none of that name.
    """
    if isinstance(runtime, str) and runtime not in RUNTIMES:
        raise ConfigError(f"--runtime {runtime}: it is {' or '.join(RUNTIMES)}")
    return RUNTIMES[runtime] if isinstance(runtime, str) else runtime


def as_providers(providers: Provider | Sequence[Provider] | None) -> list[Provider]:
    """Return one provider, several or none as a list; a name with its options is one."""
    if providers is None:
        return []
    if isinstance(providers, str) or (len(providers) == 2 and isinstance(providers[1], dict)):
        return [providers]  # type: ignore[list-item]
    return list(providers)  # type: ignore[arg-type]


def choose_precision(
    there: Sequence[str], runtime: str | Runtime, providers: Provider | Sequence[Provider] | None, asked: str | None
) -> str:
    """Return the precision to run a bundle in.

    Args:
        there: precisions of the bundle's files.
        runtime: as of ``open_session``.
        providers: as of ``open_session``.
        asked: one by name, or None for what the provider is fastest with.

    Raises:
        ConfigError: the bundle or the provider does not have what was asked for.
    """
    fast = find_runtime(runtime).precisions(as_providers(providers))
    able = [*there, *([HALF] if "fp32" in there and HALF in fast else [])]
    if asked is None:
        return next((name for name in fast if name in able), able[0])
    if asked == HALF and HALF not in fast:
        raise ConfigError(f"--precision {HALF}: this provider is no faster in 16 bits; choose from {', '.join(able)}")
    if asked not in able:
        raise ConfigError(f"there is no precision {asked!r}, only {', '.join(able)}")
    return asked


def check_session(session: Session, contract: Contract, outputs: tuple[str, ...], path: Path) -> None:
    """Compare inputs and outputs of a network with what is promised.

    Raises:
        BundleError: they differ.
    """
    names = tuple(port.name for port in session.outputs)
    if names != outputs:
        raise BundleError(f"{path} answers {', '.join(names)}; the manifest promises {', '.join(outputs)}")
    s = contract.image_size
    forms = {FLOAT: (3, s, s), BYTES: (s, s, 3)}
    if len(session.inputs) != 1 or session.inputs[0].shape[1:] != forms.get(session.inputs[0].kind):
        raise BundleError(f"{path} takes {[list(i.shape) for i in session.inputs]}; the contract says faces of {s} px")
    widths = {task.name: len(task.classes) or 1 for task in contract.tasks}
    for name, kind, shape in session.outputs:
        width = widths.pop(name, None)
        if kind != FLOAT or len(shape) != 2 or width not in (None, shape[1]):
            raise BundleError(f"{path} answers {name} as {kind} {list(shape)}, not as it should")
    if widths:
        raise BundleError(f"{path} says nothing of {', '.join(widths)}")


def feed(
    session: Session, crops: np.ndarray, contract: Contract, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Run crops through a network, preprocessed as its input asks for.

    Args:
        session: with a float32 or a uint8 input.
        crops: (N, S, S, 3) uint8 RGB.
        contract: of the network.
        names: of the outputs that are wanted; all unless given.

    Returns:
        (N, ...) float32 by the name of the output.

    Raises:
        BundleError: the network fails.
    """
    images = np.ascontiguousarray(crops) if session.inputs[0].kind == BYTES else normalise(crops, contract)
    every = [port.name for port in session.outputs]
    wanted = every if names is None else list(names)
    only = getattr(session, "run_only", None) if names is not None else None
    try:
        values = only(images, wanted) if only else session.run(images)
    except Exception as error:  # ONNX Runtime raises a class of its own for each status
        raise BundleError(f"the network cannot be run on {len(crops)} faces ({one_line(error)})") from error
    found = dict(zip(wanted if only else every, values, strict=True))
    return {name: found[name] for name in wanted}


def normalise(crops: np.ndarray, contract: Contract) -> np.ndarray:
    """Turn (N, S, S, 3) uint8 RGB into the contract's (N, 3, S, S) normalised float32."""
    mean = np.array(contract.mean, np.float32) * 255
    std = np.array(contract.std, np.float32) * 255
    # Bytes are turned into planes first: whole planes divide ten times as fast as interleaved channels.
    planes = np.ascontiguousarray(crops.transpose(0, 3, 1, 2)).astype(np.float32)
    planes -= mean[:, None, None]
    planes /= std[:, None, None]
    return planes
