"""Which processors need the slower kernels."""

from __future__ import annotations

import pytest

from smart_retail.deploy import processor


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", {"avx2"}, True),
        ("AMD64", set(), True),
        ("x86_64", {"avx2", "avx512_vnni"}, False),
        ("x86_64", {"avx_vnni"}, False),
        ("aarch64", set(), False),
    ],
)
def test_only_x86_without_vnni_saturates(
    monkeypatch: pytest.MonkeyPatch, machine: str, flags: set[str], expected: bool
) -> None:
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "_cpu_info", lambda: ("", flags))
    assert processor.saturates() is expected


def test_the_device_is_named() -> None:
    assert processor.device()["processor"] and int(processor.device()["cores"]) >= 1
