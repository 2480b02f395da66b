"""Which processors need the slower kernels."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from smart_retail.edge.processor import PROBE, device, in_words, saturates


def test_the_probe_multiplies_the_largest_bytes() -> None:
    matrix, answer = (
        helper.make_tensor_value_info(name, kind, shape)
        for name, kind, shape in (("a", TensorProto.UINT8, [1, 2]), ("y", TensorProto.INT32, [1, 1]))
    )
    weights = numpy_helper.from_array(np.full((2, 1), 127, np.int8), "b")
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "", [matrix], [answer], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert model.SerializeToString() == PROBE


def test_only_processors_without_dot_products_saturate() -> None:
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    assert saturates() is (x86 and not device()["int8_dot_product"])


def test_the_device_is_named() -> None:
    assert device()["processor"] and int(device()["cores"]) >= 1


def test_words_tell_where_int8_gains_least() -> None:
    assert in_words({"processor": "A", "int8_dot_product": True}) == in_words({"processor": "A"}) == "A"
    assert in_words({"processor": "A", "int8_dot_product": False}).startswith("A without dot products")
    assert in_words({}) == "a device not recorded"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs Debian's qemu-user")
def test_int8_answers_the_same_without_vnni(bundle: Path) -> None:
    emulator = ["qemu-x86_64", "-cpu", "Haswell", "-0", sys.executable, str(Path(sys.executable).resolve())]
    code = "from smart_retail.edge.processor import saturates; assert saturates()"
    subprocess.run([*emulator, "-c", code], check=True)
    subprocess.run([*emulator, "-m", "smart_retail", "verify", "--bundle", str(bundle)], check=True)
