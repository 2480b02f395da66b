import hashlib
import os
import shutil
import signal

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components

from smart_retail.data import duplicates, processes
from smart_retail.data.duplicates import HASH_BYTES, MAX_BITS, cluster, scan_faces, scan_image
from smart_retail.data.images import read_image
from smart_retail.errors import DataError
from tests.helpers.pictures import drawn_face, truncate, write_face, write_image

NAN = float("nan")


def listing(*paths, side=NAN):
    columns = {"path": [str(p) for p in paths], "dataset": "test", "crop_x": side / 2, "crop_y": side / 2}
    return pd.DataFrame(columns | {"crop_side": side}).astype(
        dict.fromkeys(["crop_x", "crop_y", "crop_side"], "float32")
    )


def hashes(count, seed, near=0):
    """Random hash pairs; each of the last ``near`` is an earlier one with a few bits turned."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(2, size=(count, 2, 8 * HASH_BYTES), dtype=np.uint8)
    for row in range(count - near, count):
        bits[row] = bits[rng.integers(row)]
        for half in range(2):
            turned = rng.choice(8 * HASH_BYTES, rng.integers(MAX_BITS + 4), replace=False)
            bits[row, half, turned] ^= 1
    packed = np.packbits(bits, axis=2)
    return packed[:, 0], packed[:, 1]


def brute_force(dhash, ahash):
    def apart(hashes):
        return np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(2, dtype=int)

    close = (apart(dhash) <= MAX_BITS) & (apart(ahash) <= MAX_BITS)
    return connected_components(close, directed=False)[1]


def partition(groups):
    return {frozenset(np.flatnonzero(groups == number).tolist()) for number in set(groups.tolist())}


@pytest.mark.parametrize("seed", range(3))
def test_banded_search_finds_what_brute_force_finds(seed):
    dhash, ahash = hashes(300, seed, near=150)
    expected = partition(brute_force(dhash, ahash))
    assert 100 < len(expected) < 250
    assert partition(duplicates._near_groups(dhash, ahash)) == expected


def test_thousands_of_equal_frames_are_compared_once(monkeypatch):
    dhash, ahash = hashes(1, 0)
    scans = pd.DataFrame({"digest": [bytes([i % 256]) * 16 for i in range(6000)]})
    scans["dhash"], scans["ahash"] = dhash[0].tobytes(), ahash[0].tobytes()
    groups, compared = duplicates._near_groups, []
    monkeypatch.setattr(duplicates, "_near_groups", lambda a, b: compared.append(len(a)) or groups(a, b))
    assert set(cluster(scans)[1].tolist()) == {0}
    assert compared == [1]


def test_both_hashes_must_agree():
    dhash, ahash = hashes(2, 0)
    dhash[1] = dhash[0]
    assert len(set(duplicates._near_groups(dhash, ahash))) == 2


def test_a_single_face_has_no_duplicate():
    assert duplicates._near_groups(*hashes(1, 0)).tolist() == [0]


def test_clusters_are_transitive():
    dhash, ahash = hashes(4, 0)
    bits = np.unpackbits(dhash[0])
    for row, turned in ((1, slice(0, 8)), (2, slice(0, 16))):
        changed = bits.copy()
        changed[turned] ^= 1
        dhash[row], ahash[row] = np.packbits(changed), ahash[0]
    digests = [bytes([i]) * 16 for i in range(4)]
    scans = pd.DataFrame(
        {"digest": digests, "dhash": [h.tobytes() for h in dhash], "ahash": [h.tobytes() for h in ahash]}
    )
    exact, near = cluster(scans)
    assert len(set(exact)) == 4
    assert near[0] == near[1] == near[2] != near[3]


def test_a_lossless_copy_is_an_exact_duplicate(tmp_path):
    face = drawn_face(0, 64)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, face)
    write_image(tmp_path / "c.png", drawn_face(1, 64, emotion=5))
    exact, near = cluster(scan_faces(listing(*sorted(tmp_path.glob("?.png"))), 1))
    assert exact[0] == exact[1] != exact[2]
    assert near[0] == near[1] != near[2]


def test_a_recompressed_and_scaled_copy_is_a_near_duplicate(tmp_path):
    face = drawn_face(0, 96)
    paths = [
        write_image(tmp_path / "a.png", face),
        write_image(tmp_path / "b.jpg", cv2.resize(face, (128, 128), interpolation=cv2.INTER_CUBIC)),
    ]
    exact, near = cluster(scan_faces(listing(*paths), 1))
    assert exact[0] != exact[1]
    assert near[0] == near[1]


def test_the_crop_is_hashed_not_the_frame(tmp_path):
    face = drawn_face(0, 64)
    frames = np.random.default_rng(0).integers(256, size=(2, 100, 100, 3), dtype=np.uint8)
    paths = []
    for i, frame in enumerate(frames):
        frame[:64, :64] = face
        paths.append(write_image(tmp_path / f"{i}.png", frame))
    assert len(set(cluster(scan_faces(listing(*paths, side=64), 1))[0])) == 1
    assert len(set(cluster(scan_faces(listing(*paths), 1))[0])) == 2


def test_a_broken_file_is_reported_with_its_reason(tmp_path):
    scans = scan_faces(listing(truncate(write_face(tmp_path / "a.jpg", 0)), write_face(tmp_path / "b.jpg", 1)), 1)
    assert scans["error"].iloc[0] != ""
    assert scans["error"].iloc[1] == ""


def test_a_missing_file_is_reported(tmp_path):
    assert "no such file" in scan_faces(listing(tmp_path / "gone.jpg"), 1)["error"].iloc[0]


def test_a_16_bit_file_is_hashed_as_training_reads_it(tmp_path):
    face = cv2.cvtColor(drawn_face(0, 64), cv2.COLOR_RGB2GRAY)
    cv2.imwrite(str(tmp_path / "deep.png"), face.astype(np.uint16) * 256)
    deep = scan_image((str(tmp_path / "deep.png"), NAN, NAN, NAN))
    assert deep == scan_image((str(write_image(tmp_path / "plain.png", face)), NAN, NAN, NAN))
    assert deep[3] == ""


def test_a_format_that_training_cannot_read_is_broken(tmp_path):
    Image.fromarray(drawn_face(0, 32)).save(tmp_path / "a.ico")
    assert "no format that is known here" in scan_image((str(tmp_path / "a.ico"), NAN, NAN, NAN))[3]


def test_a_huge_box_is_reported_with_its_reason(tmp_path):
    path = str(write_face(tmp_path / "a.jpg", 0))
    assert "DecompressionBombError" in scan_image((path, 24, 24, 1e6))[3]


@pytest.mark.parametrize("x, y", [(100, 24), (24, 100), (-20, 24), (24, -20)])
def test_a_face_outside_its_image_is_reported(tmp_path, x, y):
    path = str(write_face(tmp_path / "a.jpg", 0))
    assert scan_image((path, x, y, 40)) == (b"", b"", b"", "the face lies outside the image")
    assert scan_image((path, min(max(x, 0), 48), min(max(y, 0), 48), 40))[3] == ""


def test_the_digest_of_ordinary_files_never_changes(tmp_path):
    """Caches and published counts depend on it."""
    pixels = np.arange(16 * 16 * 3, dtype=np.uint32).reshape(16, 16, 3).astype(np.uint8)
    digest = scan_image((str(write_image(tmp_path / "a.png", pixels)), NAN, NAN, NAN))[0]
    assert digest == hashlib.blake2b(b"(16, 16)" + pixels.tobytes(), digest_size=16).digest()


def test_what_the_scan_calls_readable_the_loader_can_read(tmp_path):
    """Cut anywhere: a file passes the scan only if it is complete."""
    whole = write_face(tmp_path / "whole.jpg", 0, 64).read_bytes()
    path = tmp_path / "cut.jpg"
    for size in range(0, len(whole), max(1, len(whole) // 12)):
        path.write_bytes(whole[:size])
        if not scan_image((str(path), NAN, NAN, NAN))[3]:
            read_image(path)


def test_hashes_come_from_the_cache_while_the_file_is_unchanged(tmp_path, monkeypatch):
    paths = [write_face(tmp_path / f"{i}.jpg", i) for i in range(3)]
    first = scan_faces(listing(*paths), 1)
    scanned = []
    monkeypatch.setattr(duplicates, "scan_image", lambda task: scanned.append(task) or scan_image(task))
    assert scan_faces(listing(*paths), 1).equals(first)
    assert scanned == []
    write_face(paths[1], 99)
    os.utime(paths[1], ns=(1, 1))
    again = scan_faces(listing(*paths), 1)
    assert [task[0] for task in scanned] == [str(paths[1])]
    assert (again["digest"] != first["digest"]).tolist() == [False, True, False]


def test_another_crop_is_hashed_anew(tmp_path):
    path = write_face(tmp_path / "a.jpg", 0)
    assert scan_faces(listing(path), 1)["digest"][0] != scan_faces(listing(path, side=20), 1)["digest"][0]


def test_a_damaged_cache_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    path = write_face(tmp_path / "a.jpg", 0)
    first = scan_faces(listing(path), 1)
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(b"PAR1 damaged")
    assert scan_faces(listing(path), 1).equals(first)
    assert pd.read_parquet(file)["digest"].tolist() == first["digest"].tolist()


def test_unreadable_files_are_not_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    paths = [write_face(tmp_path / f"{i}.jpg", i) for i in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(duplicates, "_decode", lambda path: Image.open(path.replace("0.jpg", "unmounted.jpg")))
        assert (scan_faces(listing(*paths), 1)["error"] != "").tolist() == [True, False]
    assert (scan_faces(listing(*paths), 1)["error"] == "").all()


def test_errors_in_an_older_cache_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    path = write_face(tmp_path / "a.jpg", 0)
    scan_faces(listing(path), 1)
    (file,) = (tmp_path / "cache").iterdir()
    pd.read_parquet(file).assign(error="OSError: gone", digest=b"").to_parquet(file)
    assert scan_faces(listing(path), 1)["error"].tolist() == [""]


def test_other_listings_of_a_folder_stay_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    paths = [write_face(tmp_path / f"{i}.jpg", i) for i in range(3)]
    for listed in (listing(*paths[:2]), listing(*paths[1:]), listing(*paths, side=20)):
        scan_faces(listed, 1)
    write_face(paths[0], 99)
    os.utime(paths[0], ns=(1, 1))
    scan_faces(listing(*paths), 1)
    (file,) = (tmp_path / "cache").iterdir()
    assert len(pd.read_parquet(file)) == 6
    monkeypatch.setattr(duplicates, "scan_image", lambda task: pytest.fail(f"{task} is scanned again"))
    scan_faces(listing(*paths), 1)
    scan_faces(listing(*paths[1:], side=20), 1)


def killed(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_an_error_not_a_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PARALLEL_FROM", 2)
    monkeypatch.setattr(duplicates, "scan_image", killed)
    paths = [write_face(tmp_path / f"{i}.jpg", i) for i in range(4)]
    with pytest.raises(DataError, match=r"reading test: one of 2 processes was killed.*free memory"):
        scan_faces(listing(*paths), 2)


def test_processes_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    paths = [write_face(tmp_path / f"{i}.jpg", i) for i in range(4)]
    one = scan_faces(listing(*paths), 1)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setattr(processes, "PARALLEL_FROM", 2)
    assert scan_faces(listing(*paths), 2).equals(one)
