"""Systems unlike the one that the rest was tested on: what macOS, Windows, containers and shared folders lack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.pictures import write_face
from tests.helpers.runs import write_config

CODE = """
import contextlib, multiprocessing, os, select, sys

for name in ("fcntl", "resource", "grp"):
    sys.modules[name] = None
for module, names in ((os, "sched_getaffinity process_cpu_count killpg"), (select, "poll epoll")):
    for name in names.split():
        with contextlib.suppress(AttributeError):
            delattr(module, name)
multiprocessing.set_start_method("spawn")

import pwd

def nobody(uid):
    raise KeyError(uid)

pwd.getpwuid = nobody

from smart_retail.cli import main

for words in {words!r}:
    print("exit code", main(words))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Four commands of a user without a name and a home, in a folder that cannot be written to."""
    folder = tmp_path_factory.mktemp("Köpfe & Bücher")
    config, face = write_config(folder), write_face(folder / "Gesicht Nr. 1, größer.png", 1)
    temporary = tmp_path_factory.mktemp("temporary")
    folder.chmod(0o555)
    data = ["--config", str(config)]
    words = [["predict", str(face.name)], ["verify"], ["data", *data], ["fit", *data, "--trainer.fast_dev_run", "2"]]
    names = ("HOME", "USER", "LOGNAME", "SMART_RETAIL_CACHE")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    paths = {"PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(temporary)}
    command = [sys.executable, "-c", CODE.format(words=words)]
    try:
        done = subprocess.run(command, cwd=folder, env=environment | paths, capture_output=True, text=True)
    finally:
        folder.chmod(0o755)
    return done, temporary


def test_every_command_runs_without_what_other_systems_lack(elsewhere):
    done, _ = elsewhere
    assert done.stdout.count("exit code 0") == 4, done.stdout[-1_000:] + done.stderr[-3_000:]
    assert "größer.png" in done.stdout


def test_hashes_that_cannot_be_kept_are_told_of_once_with_the_way_out(elsewhere):
    done, temporary = elsewhere
    assert done.stderr.count("set SMART_RETAIL_CACHE to a folder that can be written to") == 1
    assert not list(temporary.glob("smart-retail-*"))
