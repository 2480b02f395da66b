"""Damage to files, and what may come of it: an error that a user understands, and nothing else."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from smart_retail.errors import SmartRetailError
from smart_retail.failures import LINES

MORE = int(os.environ.get("FUZZ_FACTOR", "1"))
"""How many times more examples than the suite takes are tried; also, they are then other ones every time."""


def fuzz(examples: int) -> settings:
    """Return settings of a fuzz test that are quick and repeatable unless ``$FUZZ_FACTOR`` asks for more."""
    return settings(
        max_examples=examples * MORE,
        deadline=None,  # the machine may be busy; what hangs stops the suite
        derandomize=MORE == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def only_clear_errors() -> Iterator[None]:
    """Let pass an error of ours that fits a terminal; anything else is a finding."""
    try:
        yield
    except SmartRetailError as error:
        text = str(error).strip()
        assert text and len(text.splitlines()) <= LINES, text
        assert all(len(line) < 1_000 for line in text.splitlines()), text


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Return a file with flipped bits, a hole, a cut, an insertion or a repetition."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["flip", "cut", "hole", "insert", "repeat", "huge"]))
        if kind == "flip" and content:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del content[at:]
        elif kind == "hole":
            length = min(draw(st.integers(1, 64)), len(content) - at)
            content[at : at + length] = bytes(length)
        elif kind == "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif kind == "repeat":
            content[at:at] = content[at : at + 40]
        else:
            content[at : at + 8] = b"\xff" * 8
    return bytes(content)


def tree(folder: Path) -> set[str]:
    """Return everything below a folder, to see that nothing was added."""
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**400]),
    st.floats(),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)
"""Whatever JSON or YAML can say, huge numbers and not-a-number included."""
