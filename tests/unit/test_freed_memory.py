import multiprocessing
import platform
import resource

import pytest
import torch

from smart_retail.models.freed_memory import keep_freed_memory


def faults(kept: bool) -> int:
    """Pages that the system hands out for ten blocks of 64 MiB, one after the other, after ten others."""
    if kept:
        keep_freed_memory()
    for _ in range(10):
        torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries are left as they are")
def test_a_large_block_is_used_again():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        given_back, kept = pool.apply(faults, (False,)), pool.apply(faults, (True,))
    assert given_back > 1000
    assert kept < given_back / 2  # a small block in the hole of a large one makes that one new


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("no library was to be opened"))
    keep_freed_memory()
