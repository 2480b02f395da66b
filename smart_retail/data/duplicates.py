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

from smart_retail.data.crops import CROP
from smart_retail.data.images import read_image, read_image_bytes
from smart_retail.data.processes import in_processes
from smart_retail.errors import BrokenImageError, one_line
from smart_retail.files import cache_folder, write_aside

log = logging.getLogger(__name__)
MAX_BITS = 10
HASH_BYTES = 32
HASHES = {"digest": 16, "dhash": HASH_BYTES, "ahash": HASH_BYTES}
"""What a scan finds of each face, and its length in bytes."""
BANDS = MAX_BITS + 1
"""Hashes within MAX_BITS of each other agree on at least one of MAX_BITS + 1 bands (pigeonhole), so
only faces that share a band need comparing: near linear in the number of faces, and exact."""
CACHE_KEY = {"path": "str", "size": "int64", "mtime": "int64"} | dict.fromkeys(CROP, "float32")
"""What a hash in the cache belongs to."""
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
    key = faces[["path", *CROP]].fillna(dict.fromkeys(CROP, -1))
    key[["size", "mtime"]] = [_stat(path) for path in faces["path"]]
    cache, names = cache_path(faces), [*HASHES, "error"]
    known = _read_cache(cache)
    found = key.merge(known, how="left", on=list(CACHE_KEY))
    found[names] = found[names].astype(object)
    missing = found["error"].isna().to_numpy()
    if missing.any():
        tasks: list[Task] = list(faces.loc[missing, ["path", *CROP]].itertuples(index=False, name=None))
        what, folder = f"reading {faces['dataset'].iloc[0]}", Path(tasks[0][0]).parent
        scans = list(in_processes(scan_image, tasks, workers, what, folder))
        found.loc[missing, names] = pd.DataFrame(scans, found.index[missing], names, dtype=object)
        _write_cache(cache, known, found[missing])
    return found[names]


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
    kinds = CACHE_KEY | dict.fromkeys([*HASHES, "error"], "object")
    try:
        known = pd.read_parquet(cache)[list(kinds)].astype(kinds)
        # A file that could not be read may be readable now (a mount, a permission): ask it again.
        known = known[known["error"] == ""]
        if not all(isinstance(h, bytes) and len(h) == size for name, size in HASHES.items() for h in known[name]):
            raise ValueError("no hashes")
    except Exception:  # absent, damaged or of an older form: scan anew
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
    return known.drop_duplicates(list(CACHE_KEY))


def _write_cache(cache: Path, known: pd.DataFrame, scanned: pd.DataFrame) -> None:
    """Add what was scanned to the cache; other listings of the same folder keep their rows."""
    scanned = scanned[scanned["error"] == ""]
    if scanned.empty:
        return
    rows = pd.concat([known, scanned[known.columns]]) if len(known) else scanned
    # Without size and time in the key: of a changed file only the newest hash is of use.
    rows = rows.drop_duplicates(["path", *CROP], keep="last")
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
    both = [np.ascontiguousarray(hashes).view(np.uint64) for hashes in (dhash, ahash)]  # compares eight bytes at once
    for words in _bands(dhash):
        rows = np.argsort(words, kind="stable")
        words, part = words[rows], both[0][rows, 0]  # a quarter of the hash, in this order: it tells most pairs apart
        # Rows with one word stand together: pair each with the k-th after it, for k = 1, 2, ...
        at = np.arange(len(rows))
        for step in range(1, len(rows)):
            at = at[at < len(rows) - step]
            at = at[words[at + step] == words[at]]  # who has no k-th neighbour has no later one
            if not len(at):
                break
            near = at[np.bitwise_count(part[at] ^ part[at + step]) <= MAX_BITS]
            pairs = np.stack([rows[near], rows[near + step]])
            pairs = pairs[:, groups[pairs[0]] != groups[pairs[1]]]  # who is linked already need not be compared
            for hashes in both:
                pairs = pairs[:, np.bitwise_count(hashes[pairs[0]] ^ hashes[pairs[1]]).sum(axis=1) <= MAX_BITS]
            if pairs.size:
                links = coo_array((np.ones(len(pairs[0]), bool), groups[pairs]), shape=(len(groups), len(groups)))
                groups = connected_components(links, directed=False)[1][groups]
    return groups


def _bands(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the BANDS words of (N, HASH_BYTES) hashes, each (N,) int64."""
    # Neighbouring bits of a hash agree (flat backgrounds): bands of shuffled bits spread better.
    order = np.random.default_rng(0).permutation(8 * HASH_BYTES)
    bits = np.unpackbits(hashes, axis=1)
    for band in np.array_split(order, BANDS):
        packed = np.packbits(bits[:, band], axis=1)
        yield packed @ (1 << 8 * np.arange(packed.shape[1]))
