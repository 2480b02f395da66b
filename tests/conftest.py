import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch  # noqa: F401 - its log handler keeps the stderr of the first import: not a single test's
import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep drawings and hashes of the tests out of the user's cache; shared, so drawn once."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["SMART_RETAIL_CACHE"] = str(folder)
    torch.set_num_threads(1)
    # A shell lets what it starts in the background ignore Ctrl-C, as `make test` does with half of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return folder


@pytest.fixture(autouse=True)
def ends(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a process running; loaders' workers, which an exception may hold, are ended."""
    before = set(multiprocessing.active_children())
    yield
    left = set(multiprocessing.active_children()) - before
    for child in left:
        child.kill()
        child.join()
    assert all(child.daemon for child in left), f"{request.node.name} left {left} running"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the real data sets where they are not: before the fixtures of a whole file look for them."""
    if not os.environ.get("SMART_RETAIL_DATA"):
        without = pytest.mark.skip(reason="SMART_RETAIL_DATA does not name the folder of the real data sets")
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(without)


@pytest.fixture(autouse=True)
def no_real_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only tests marked ``real`` see the real data sets."""
    if request.node.get_closest_marker("real") is None:
        monkeypatch.delenv("SMART_RETAIL_DATA", raising=False)
