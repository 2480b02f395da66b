"""What every command that reads data tells of it: what was left out, how tables were read, which part is empty."""

from __future__ import annotations

from smart_retail.data.index import FaceIndex
from smart_retail.errors import printable


def left_out(index: FaceIndex) -> list[str]:
    """Return a line for each data set of which something was left out, one for each note, and one example of a file."""
    lines = [
        f"{name}: {', '.join(f'{count:,} {reason}' for reason, count in reasons.items())}"
        for name, reasons in index.skipped.items()
        if reasons
    ]
    if index.broken:
        path, why = index.broken[0]
        lines.append(f"unreadable or not there: {len(index.broken):,}, the first: {path}: {why}")
    lines += index.notes
    if index.part("test").empty and (why := _all_training(index)):
        lines.append(f"no face is left for `test`: {why}")
    return [printable(line) for line in lines]


def why_empty(index: FaceIndex, split: str) -> str:
    """Return why a split has no face, and what to do."""
    return (
        f"no face in the {split} part of {', '.join(index.datasets)}; "
        + (_all_training(index) or "change data.splits.val_share and test_share, the split of a table, or add a source")
        + ("; then train again: what is to be the test was trained on" if split == "test" else "")
    )


def _all_training(index: FaceIndex) -> str:
    """Return how faces that are all marked as training ones get a test part; "" where others are there."""
    if not (index.faces["official"] == "train").all():
        return ""
    return (
        f"{', '.join(index.datasets)} calls all faces training ones. Leave that out (of a table with "
        "`columns: {split: null}`; of a folder with its `train` as `root`), name some as test, or add a source with "
        "`split: test`"
    )
