"""Memory that a network has freed stays with the process, to be used again for the next batch."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's ``malloc.h``."""
KEPT_BYTES = 2**31 - 1
"""The most that stays; the largest number that ``mallopt`` takes."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, up to 2 GiB; without glibc nothing is done.

    By itself it gives every block above 32 MiB back at once, and the system hands it out again page by page, each
    filled with zeros: judging in batches of 256 faces, three quarters of the time went there (docs/measured.md).
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
