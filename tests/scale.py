"""How listing, duplicates and splits grow: ``python -m tests.scale 10000 100000 1000000``.

Each size runs in a process of its own and prints a line of processor seconds and the peak memory. The faces are
generated: symbolic links to one file, and hashes of random smooth pictures that share an average face, as
real ones do, so that bands of hashes collide as with real ones. One in fifty is a near duplicate of another,
one in fifty a pixel-equal one, and one in a hundred nearly black (equal hashes, other pixels).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from smart_retail.data import duplicates
from smart_retail.data.crops import CROP
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.duplicates import cluster
from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.sources.base import Listing
from smart_retail.data.sources.table import FaceTable
from smart_retail.tasks import TASKS, Task

PIECE = 20_000


def generated_hashes(count: int, seed: int = 0) -> pd.DataFrame:
    """Return ``digest``, ``dhash`` and ``ahash`` of generated faces."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(17)[:, None], np.fft.rfftfreq(17)[None])
    strength = 1 / np.maximum(frequency, 1 / 17) ** 1.5
    average = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(17, 17))) * strength, (17, 17))
    found = []
    for start in range(0, count, PIECE):
        noise = np.fft.rfft2(rng.normal(size=(min(PIECE, count - start), 17, 17)).astype(np.float32))
        faces = average + np.fft.irfft2(noise * strength, (17, 17))
        wide, square = faces[:, :16], faces[:, :16, :16]
        dhash = np.packbits((wide[:, :, 1:] > wide[:, :, :-1]).reshape(-1, 256), axis=1)
        ahash = np.packbits((square > square.mean((1, 2), keepdims=True)).reshape(-1, 256), axis=1)
        found.append(np.concatenate([dhash, ahash], axis=1))
    hashes = np.concatenate(found)
    near, equal, black = (np.arange(count) % n == k for n, k in ((50, 1), (50, 2), (100, 3)))
    hashes[near] = hashes[np.flatnonzero(near) - 1]
    hashes[near, rng.integers(64, size=near.sum())] ^= 1
    hashes[equal] = hashes[np.flatnonzero(equal) - 2]
    hashes[black] = 0
    digests = np.arange(count)
    digests[equal] -= 2
    rows = hashes.tobytes()
    return pd.DataFrame(
        {
            "digest": [int(d).to_bytes(16, "big") for d in digests],
            "dhash": [rows[at : at + 32] for at in range(0, len(rows), 64)],
            "ahash": [rows[at + 32 : at + 64] for at in range(0, len(rows), 64)],
        }
    )


def write_faces(folder: Path, count: int) -> Path:
    """Write a table of links to one file."""
    (folder / "face").write_bytes(b"face")
    names = [f"{i // 1000:04d}/{i % 1000:03d}.jpg" for i in range(count)]
    for name in names:
        if name.endswith("/000.jpg"):
            (folder / name).parent.mkdir()
        os.symlink(folder / "face", folder / name)  # noqa: PTH211 - faster
    rng = np.random.default_rng(0)
    ages = rng.integers(1, 90, count)
    pd.DataFrame({"path": names, "age": ages, "gender": rng.integers(0, 2, count)}).to_csv(
        folder / "faces.csv", index=False
    )
    return folder / "faces.csv"


class Known(FaceTable):
    """A table whose listing is kept: the measurement lists once."""

    listing: Listing

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """Return the listing made before."""
        return self.listing


def measure(count: int) -> dict[str, float]:
    """Return processor seconds of each step, and the peak memory in GB."""
    torch.set_num_threads(1)
    times: dict[str, float] = {"faces": count}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        times[name] = round(time.process_time() - start, 2)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SMART_RETAIL_CACHE"] = str(folder / "cache")
        source = Known(str(write_faces(folder, count)))
        hashes = generated_hashes(count)
        with step("list"):
            source.listing = FaceTable(source.table).load()
        faces = source.listing.faces
        cached = faces[["path", *CROP]].fillna(dict.fromkeys(CROP, -1))
        stat = (folder / "face").stat()
        cached = pd.concat([cached.assign(size=stat.st_size, mtime=stat.st_mtime_ns), hashes], axis=1).assign(error="")
        with step("write cache"):
            duplicates._write_cache(duplicates.cache_path(faces), cached.iloc[:0], cached)
        del cached
        with step("cluster"):
            _, near = cluster(hashes)
        times["clusters"] = int(near.max()) + 1
        del hashes
        with step("index, with cluster"):
            index = build_index([source], SplitSettings())
        assert len(index.faces) == count, index.broken[:1]
        with step("fingerprint"):
            index.fingerprint()
        data = FaceDataModule([source], image_size=32, workers=0)
        data._index = index
        with step("loader"):
            data.train_dataloader()
    times["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    return times


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        for words in sys.argv[1:]:
            subprocess.run([sys.executable, "-m", "tests.scale", "--one", words], check=True)
