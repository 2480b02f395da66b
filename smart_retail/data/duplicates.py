"""Exact and perceptual duplicates, clustered over all sources.

Two faces are near duplicates if both their 16x16 difference hash and their 16x16 average hash
differ in at most ``MAX_BITS`` of 256 bits. Hashes are the imagehash library's; they are taken of
the crop that a network sees, so that the same face in two framings of one source is found.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from smart_retail.data.cache import cache_folder, write_aside
from smart_retail.data.images import read_image, read_image_bytes
from smart_retail.data.processes import in_processes
from smart_retail.errors import BrokenImageError, one_line

log = logging.getLogger(__name__)
MAX_BITS = 10
HASH_BYTES = 32
HASHES = {"digest": 16, "dhash": HASH_BYTES, "ahash": HASH_BYTES}
"""What a scan finds of each face, and its length in bytes."""
BANDS = MAX_BITS + 1
"""Hashes within MAX_BITS of each other agree on at least one of MAX_BITS + 1 bands (pigeonhole), so
only faces that share a band need comparing: near linear in the number of faces, and exact."""
CROWD = 32
"""Faces with one band in common from which the other hash's bands part them further."""
MANY = 1 << 18
"""Pairs found after which groups are joined, so that memory stays bounded."""
CACHE_KEY = ("path", "size", "mtime", "crop_x", "crop_y", "crop_side")
Task = tuple[str, float, float, float]
Scan = tuple[bytes, bytes, bytes, str]


def scan_image(task: Task) -> Scan:
    """Decode one file completely and hash its crop.

    Args:
        task: path, and the crop square's x, y and side (NaN: the whole image).

    Returns:
        Digest of the pixels (16 bytes), difference hash and average hash (32 bytes each), and an
        empty string; or three empty hashes and what is wrong with the file.
    """
    path, x, y, side = task
    try:
        image = _decode(path)
        if not np.isnan(side):
            left, top, right, bottom = x - side / 2, y - side / 2, x + side / 2, y + side / 2
            if right <= 0 or bottom <= 0 or left >= image.width or top >= image.height:
                return b"", b"", b"", "the face lies outside the image"
            image = image.crop((round(left), round(top), round(right), round(bottom)))
        digest = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
        grey = image.convert("L")
        hashes = [np.packbits(h(grey, hash_size=16).hash).tobytes() for h in (imagehash.dhash, imagehash.average_hash)]
    except Exception as error:  # Pillow's decoders raise nearly anything on hostile files, and crops on huge boxes
        if isinstance(error, BrokenImageError):
            return b"", b"", b"", str(error).removeprefix(f"{path}: ")  # who shows it names the file
        return b"", b"", b"", f"{type(error).__name__}: {one_line(error)}"
    return digest, hashes[0], hashes[1], ""


def _decode(path: str) -> Image.Image:
    """Decode a file completely, to 8 bit RGB as training reads it."""
    data, name = read_image_bytes(path)
    # The format by name: Pillow would also open what runs another program (PostScript).
    with Image.open(io.BytesIO(data), formats=[name]) as file:
        mode, image = file.mode, ImageOps.exif_transpose(file)
    if mode.startswith(("I", "F")):
        # Pillow clips 16 bit and float pixels to white where OpenCV scales them: different faces would be duplicates.
        return Image.fromarray(read_image(path))
    return image.convert("RGB")


def scan_faces(faces: pd.DataFrame, workers: int) -> pd.DataFrame:
    """Hash every face, or take the hash from the cache where the file has not changed.

    Args:
        faces: listing with ``path`` and ``crop_*``.
        workers: processes to decode with.

    Returns:
        ``digest``, ``dhash``, ``ahash`` (bytes) and ``error`` (str, empty where the file is fine),
        one row a face, in the order of ``faces``.

    Raises:
        DataError: a process that decodes was killed.
    """
    key = faces[["path", "crop_x", "crop_y", "crop_side"]].fillna({"crop_x": -1, "crop_y": -1, "crop_side": -1})
    stats = [_stat(path) for path in faces["path"]]
    key["size"], key["mtime"] = [s[0] for s in stats], [s[1] for s in stats]
    cache = cache_path(faces)
    known = _read_cache(cache)
    found = key.merge(known, how="left", on=list(CACHE_KEY))
    missing = found["error"].isna().to_numpy()
    if missing.any():
        columns = (faces.loc[missing, c] for c in ("path", "crop_x", "crop_y", "crop_side"))
        tasks: list[Task] = list(zip(*columns, strict=True))
        what, folder = f"reading {faces['dataset'].iloc[0]}", Path(tasks[0][0]).parent
        scans = list(in_processes(scan_image, tasks, workers, what, folder))
        for i, column in enumerate(("digest", "dhash", "ahash", "error")):
            values = found[column].astype(object).to_numpy(copy=True)
            values[missing] = np.array([scan[i] for scan in scans] + [None], dtype=object)[:-1]
            found[column] = values
        _write_cache(cache, known, found[missing])
    return found[[*HASHES, "error"]]


def cache_path(faces: pd.DataFrame) -> Path:
    """Return where the hashes of a listing are kept."""
    name = hashlib.blake2b(str(Path(faces["path"].iloc[0]).parent).encode(), digest_size=8).hexdigest()
    return cache_folder() / f"hashes-v2-{faces['dataset'].iloc[0]}-{name}.parquet"


def _stat(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


def _read_cache(cache: Path) -> pd.DataFrame:
    columns = [*CACHE_KEY, "digest", "dhash", "ahash", "error"]
    try:
        known = pd.read_parquet(cache)[columns]
        hashes = known.loc[known["error"] == "", ["digest", "dhash", "ahash"]].to_numpy(object)
        if not all(isinstance(value, bytes) and len(value) in (16, HASH_BYTES) for value in hashes.ravel()):
            raise ValueError("no hashes")
        return _usable(known)
    except Exception:  # absent, damaged or of an older form: scan anew
        return _usable(pd.DataFrame({c: pd.Series(dtype=object) for c in columns}))


def _usable(known: pd.DataFrame) -> pd.DataFrame:
    types = {"path": "str", "size": "int64", "mtime": "int64"} | dict.fromkeys(CACHE_KEY[3:], "float32")
    # A file that could not be read may be readable now (a mount, a permission): ask it again.
    return known[known["error"] == ""].astype(types).drop_duplicates(list(CACHE_KEY))


def _write_cache(cache: Path, known: pd.DataFrame, scanned: pd.DataFrame) -> None:
    """Add what was scanned to the cache; other listings of the same folder keep their rows."""
    scanned = scanned[scanned["error"] == ""]
    if scanned.empty:
        return
    rows = pd.concat([known, scanned[known.columns]]) if len(known) else scanned
    # Without size and time in the key: of a changed file only the newest hash is of use.
    rows = rows.drop_duplicates(["path", *CACHE_KEY[3:]], keep="last")
    try:
        with write_aside(cache) as aside:
            rows.to_parquet(aside, index=False)
    except OSError as error:  # a full disk costs the next start some minutes, not this one its work
        log.warning("the hashes of %d images are not kept: %s", len(scanned), error)


def cluster(scans: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Cluster faces by their hashes.

    Args:
        scans: ``digest``, ``dhash`` and ``ahash`` of N readable faces.

    Returns:
        Two (N,) int64 arrays of cluster numbers: exact (same pixels), and near (exact duplicates and
        near duplicates, transitively).
    """
    exact = pd.factorize(scans["digest"])[0].astype(np.int64)
    hashes = np.frombuffer(b"".join(scans["dhash"]) + b"".join(scans["ahash"]), np.uint8)
    dhash, ahash = hashes.reshape(2, len(scans), HASH_BYTES)
    # One representative of each pair of hashes is compared; the others follow it.
    both, follows = np.unique(np.concatenate([dhash, ahash], axis=1), axis=0, return_inverse=True)
    near = _near_groups(both[:, :HASH_BYTES], both[:, HASH_BYTES:])
    return exact, pd.factorize(near[follows.ravel()])[0].astype(np.int64)


def _near_groups(dhash: np.ndarray, ahash: np.ndarray) -> np.ndarray:
    """Return (N,) numbers of groups linked by pairs within MAX_BITS in both (N, HASH_BYTES) hashes."""
    groups = np.arange(len(dhash))
    found: list[np.ndarray] = []
    waiting = 0
    for a, b in _candidates(dhash, ahash, groups):
        # What is linked already need not be compared: of many alike faces few pairs are kept.
        apart = groups[a] != groups[b]
        a, b = a[apart], b[apart]
        close = _distance(dhash[a], dhash[b]) <= MAX_BITS
        close[close] = _distance(ahash[a[close]], ahash[b[close]]) <= MAX_BITS
        found.append(np.stack([a[close], b[close]]))
        waiting += len(found[-1][0])
        if waiting > MANY:
            groups[:] = _linked(groups, found)
            found, waiting = [], 0
    return _linked(groups, found)


def _linked(groups: np.ndarray, found: list[np.ndarray]) -> np.ndarray:
    left, right = groups[np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)]
    links = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(groups), len(groups)))
    joined = connected_components(links, directed=False)[1]
    return np.asarray(joined[groups], np.int64)


def _candidates(dhash: np.ndarray, ahash: np.ndarray, groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield index pairs that share a band of the first hash and, where many do, one of the second too.

    ``groups`` may be joined meanwhile; rows with a common word that are one group already are left out.
    """
    second = _bands(ahash)
    for first in _bands(dhash):
        _, at, sizes = np.unique(first, return_inverse=True, return_counts=True)
        crowded = sizes[at] > CROWD
        yield from _same_words(first, np.flatnonzero(~crowded), groups)
        rows = np.flatnonzero(crowded)
        for other in second if len(rows) else ():
            yield from _same_words(first << 32 | other, rows, groups)


def _same_words(words: np.ndarray, rows: np.ndarray, groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rows = rows[np.argsort(words[rows], kind="stable")]
    same = words[rows]
    starts = np.flatnonzero(np.diff(same, prepend=-1))
    lengths = np.diff(starts, append=len(rows))
    # Rows with one word stand together: pair each with the k-th after it, for k = 1, 2, ...
    at = np.arange(len(rows))
    for step in range(1, len(rows)):
        if step & (step - 1) == 0:  # at powers of two, since it costs a pass over all rows
            mine = groups[rows]
            mixed = np.minimum.reduceat(mine, starts) != np.maximum.reduceat(mine, starts)
            at = at[np.repeat(mixed, lengths)[at]]
        at = at[at < len(rows) - step]
        at = at[same[at + step] == same[at]]  # who has no k-th neighbour has no later one
        if not len(at):
            return
        yield rows[at], rows[at + step]


def _bands(hashes: np.ndarray) -> list[np.ndarray]:
    """Return the BANDS words of (N, HASH_BYTES) hashes, each (N,) int64."""
    # Neighbouring bits of a hash agree (flat backgrounds): bands of shuffled bits spread better.
    order = np.random.default_rng(0).permutation(8 * HASH_BYTES)
    words = []
    for band in np.array_split(order, BANDS):
        word = np.zeros(len(hashes), np.int64)
        for bit in band:
            word = word << 1 | (hashes[:, bit // 8] >> (7 - bit % 8) & 1)
        words.append(word)
    return words


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    bits: np.ndarray = np.bitwise_count(a ^ b).sum(axis=1, dtype=np.int64)
    return bits
