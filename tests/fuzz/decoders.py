"""Coverage-guided fuzzing of what decodes foreign bytes, by hand: ``python -m tests.fuzz.decoders images 300``.

Needs atheris (``pip install atheris``, into an environment of its own). Words after the seconds go to libFuzzer.
Our Python code is instrumented; the decoders of OpenCV, zlib and NumPy are driven, and a crash in them is found, but
they do not guide the search. A finding is left as ``crash-...`` or ``timeout-...`` in the working folder.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["smart_retail.data", "smart_retail.edge.manifest"]):
    from smart_retail.data.images import read_image
    from smart_retail.data.soft_targets import read_soft_targets
    from smart_retail.edge.manifest import NAME, read_manifest

from smart_retail.edge.pretrained import find_bundle
from smart_retail.tasks import TASKS
from tests.fuzz.test_fuzz_models import KEYS, SOFT
from tests.helpers.fuzz import only_clear_errors
from tests.helpers.hostile_images import broken_images, readable_images

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


def images(path: Path) -> None:
    """Read as an image."""
    image = read_image(path)
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == "uint8"


def soft_targets(path: Path) -> None:
    """Read as soft targets."""
    soft = read_soft_targets(path, KEYS, TASKS)
    assert {name: len(part) for name, part in soft.items()} == {task.name: len(KEYS) for task in TASKS}


def manifest(path: Path) -> None:
    """Read as a bundle's manifest."""
    read_manifest(path.rename(path.with_name(NAME)).parent)


TARGETS: dict[str, tuple[Callable[[Path], None], Callable[[], list[bytes]]]] = {
    "images": (images, lambda: [*readable_images().values(), *broken_images().values()]),
    "soft_targets": (soft_targets, lambda: [SOFT]),
    "manifest": (manifest, lambda: [(find_bundle() / NAME).read_bytes()]),
}


def main(name: str, seconds: str, *words: str) -> None:
    """Drive one target for some seconds, beginning with sound and broken files."""
    read, seeds = TARGETS[name]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(seeds()):
            (Path(corpus) / str(number)).write_bytes(content)

        def one(content: bytes) -> None:
            path = Path(folder) / "input"
            path.write_bytes(content)
            with only_clear_errors():
                read(path)

        options = [
            f"-max_total_time={seconds}",
            "-timeout=20",
            "-rss_limit_mb=4096",
            "-max_len=65536",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, *words, corpus], one)
        atheris.Fuzz()  # ends the process


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(*sys.argv[1:])
