"""The face index: all sources in one table, with duplicates clustered and splits assigned."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from smart_retail.cores import usable_cores
from smart_retail.data.duplicates import cluster, scan_faces
from smart_retail.data.sources.base import Listing, Source, labelled
from smart_retail.data.splits import (
    CONTRADICTORY,
    REPEATED,
    assign_splits,
    contradictions,
    exclude_training,
)
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import TASKS, Task


@dataclass(frozen=True)
class SplitSettings:
    """How faces are parted and which training faces are left out.

    Attributes:
        val_share: share of the faces for validation where a data set has no official part for it.
        test_share: likewise for the test.
        seed: another seed, another split.
        drop_leaks: train without the duplicates of validation and test faces.
        drop_contradictions: train without faces whose duplicates carry other labels.
        drop_repeats: keep one training face of each group of pixel-equal ones.
    """

    val_share: float = 0.1
    test_share: float = 0.1
    seed: int = 0
    drop_leaks: bool = True
    drop_contradictions: bool = False
    drop_repeats: bool = False


@dataclass
class FaceIndex:
    """All faces.

    Attributes:
        faces: the sources' columns and the scan's ``digest``, ``dhash`` and ``ahash``, ``exact`` and ``cluster``
            (numbers of groups), ``split``, ``leaks`` and ``excluded``.
        skipped: data set to (reason to number of files).
        terms: the terms of use of each data set.
        tasks: what their labels are of.
        broken: path of each unreadable or missing file, and what is wrong with it.
        notes: what a person should know of how tables were read.
    """

    faces: pd.DataFrame
    skipped: dict[str, Counter[str]]
    terms: list[str]
    tasks: tuple[Task, ...] = TASKS
    broken: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets, in the order of the sources."""
        return list(self.skipped)

    def part(self, split: str) -> pd.DataFrame:
        """Return the faces of one split."""
        return self.faces[self.faces["split"] == split]

    def fingerprint(self, tasks: Sequence[Task] | None = None) -> str:
        """Return 16 hexadecimal digits that change with any pixel, any label that is trained on, and any split.

        They do not change with the place of the files, nor with a task of one's own that no face has a label of.

        Args:
            tasks: whose labels count; all by default.
        """
        tasks = self.tasks if tasks is None else tasks
        # The usual tasks count without a label, too: fingerprints that are written down stay.
        usual = {task.name for task in TASKS}
        names = ["key", "split", *(t.name for t in tasks if t.name in usual or labelled(self.faces, t).any())]
        ends = [name for task in tasks if not task.is_classes for name in task.range_columns]
        votes = [name for task in tasks for name in task.vote_columns]
        names += [name for name in (*ends, *votes) if self.faces[name].notna().any()]
        # The first packs and checkpoints knew votes on emotions alone, and named their columns so.
        columns = (
            self.faces[names].sort_values("key").rename(columns=lambda name: name.replace("emotion_votes_", "votes_"))
        )
        digest = hashlib.blake2b(columns.to_csv(index=False).encode(), digest_size=8)
        digest.update(b"".join(self.faces.sort_values("key")["digest"]))
        return digest.hexdigest()


def build_index(
    sources: Sequence[Source],
    settings: SplitSettings,
    tasks: Sequence[Task] = TASKS,
    *,
    max_broken: float = 0.01,
    workers: int | None = None,
) -> FaceIndex:
    """List, scan, cluster and split the faces of all sources.

    Every file is decoded once (with a progress bar) and its hashes are cached, so only the first
    call on a data set takes long.

    Args:
        sources: the data sets; names must differ.
        settings: how to split.
        tasks: what is to be learnt.
        max_broken: largest share of unreadable and missing files in a data set.
        workers: processes to decode with; None for one per core.

    Raises:
        ConfigError: no source, or two with one name.
        DataError: a source has no face, or too many files are broken.
    """
    if not sources:
        raise ConfigError("no source of faces: set data.sources (configs/data has examples)")
    parts, skipped, terms, broken, notes = [], {}, [], [], []
    for listing in _listings(sources, tasks):
        scans = listing.scans
        if scans is None:
            scans = scan_faces(listing.faces, workers or usable_cores())
        bad = (scans["error"] != "").to_numpy()
        paths = listing.faces.loc[bad, "path"]
        lost = [
            *zip(paths, scans.loc[bad, "error"], strict=True),
            *((path, "no such file") for path in listing.missing),
        ]
        broken += lost
        if len(lost) > max_broken * (every := len(bad) + len(listing.missing)):
            path, why = lost[0]
            raise DataError(
                f"data set {listing.name}: {len(lost)} of {every} images are unreadable or not there, more than the "
                f"allowed share {max_broken} (data.max_broken); for example {path}: {why}"
            )
        if bad.any():
            listing.skipped["unreadable image"] = int(bad.sum())
        parts.append(pd.concat([listing.faces, scans], axis=1)[~bad])
        skipped[listing.name] = listing.skipped
        terms.append(listing.terms)
        notes += [f"{listing.name}: {note}" for note in listing.notes]
    faces = pd.concat(parts, ignore_index=True)
    faces["exact"], faces["cluster"] = cluster(faces)
    shares = {"val_share": settings.val_share, "test_share": settings.test_share}
    sides = assign_splits(faces, **shares, seed=settings.seed, drop_leaks=settings.drop_leaks)
    faces = pd.concat([faces, sides], axis=1)
    _leave_out(faces, settings, tasks)
    return FaceIndex(faces.drop(columns="error"), skipped, terms, tuple(tasks), broken, notes)


def _listings(sources: Sequence[Source], tasks: Sequence[Task]) -> list[Listing]:
    owners: dict[str, Source] = {}
    found = []
    for source in sources:
        for listing in source.listings(tasks):
            if (other := owners.get(listing.name)) is not None:
                raise ConfigError(
                    f"two sources have one name, {listing.name}: {str(other)[:200]} and {str(source)[:200]}; leave one "
                    "out, or give each its own"
                )
            owners[listing.name] = source
            found.append(listing)
    return found


def _leave_out(faces: pd.DataFrame, settings: SplitSettings, tasks: Sequence[Task]) -> None:
    """Apply the options that shrink the training part, in place."""
    if settings.drop_contradictions:
        exclude_training(faces, contradictions(faces, tasks).any(axis=1), CONTRADICTORY)
    if settings.drop_repeats:
        # Faces that carry other kinds of labels are no repeats: a duplicate may know the age only.
        kinds = np.column_stack([labelled(faces, task) for task in tasks])
        group = faces[["exact", "split"]].assign(kind=kinds @ (1 << np.arange(len(tasks))))
        exclude_training(faces, group.duplicated(), REPEATED)
