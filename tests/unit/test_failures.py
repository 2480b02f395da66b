"""Errors of libraries that a user can put right are known by what the real libraries raise."""

import os
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from jsonargparse import ArgumentParser
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, Dataset

from smart_retail.failures import exit_code


def said_of(error: BaseException, capsys) -> str:
    assert exit_code(error, "fit") == 2
    return capsys.readouterr().err


class Killed(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_loader_process_as_torch_tells_of_it(capsys):
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Killed(), num_workers=1))
    said = said_of(caught.value, capsys)
    assert "a process that loads images was killed" in said and "go on with --ckpt_path last" in said


def leave(store: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=1, world_size=2)
    os._exit(0)


def test_another_process_that_ended_as_gloo_tells_of_it(tmp_path, capsys):
    other = get_context("spawn").Process(target=leave, args=(str(tmp_path / "store"),))
    other.start()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=2)
    try:
        other.join()
        with pytest.raises(RuntimeError) as caught:
            dist.all_reduce(torch.ones(1))
    finally:
        dist.destroy_process_group()
    assert "another process of this training has ended" in said_of(caught.value, capsys)


def test_a_setting_that_lightning_refuses(capsys):
    with pytest.raises(Exception, match="devices") as caught:
        Trainer(accelerator="cpu", devices=0)
    assert type(caught.value).__name__ == "MisconfigurationException"
    assert "devices" in said_of(caught.value, capsys)


class Odd(Callback):
    def __init__(self, place: str) -> None:
        raise AttributeError("no such place")


def test_a_class_that_jsonargparse_cannot_make(capsys):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--callback", type=Callback | None)
    config = parser.parse_args([f"--callback={__name__}.Odd", "--callback.place=x"])
    with pytest.raises(ValueError, match="Odd") as caught:
        parser.instantiate(config)
    assert "no such place" in said_of(caught.value, capsys)


def test_a_home_that_nobody_knows(monkeypatch, capsys):
    monkeypatch.setattr("posixpath.expanduser", lambda path: path)  # as it is without HOME and a user's name
    with pytest.raises(RuntimeError) as caught:
        Path("~/faces").expanduser()
    assert "Set HOME, or write the path without ~" in said_of(caught.value, capsys)


@pytest.mark.parametrize(
    "error", [ValueError("a fault of ours"), RuntimeError("x"), ModuleNotFoundError("x", name="smart_retail.x")]
)
def test_what_nobody_foresaw_keeps_its_traceback(error):
    assert exit_code(error, "fit") is None


def test_a_library_that_is_not_there_is_named_with_the_way_to_it(capsys):
    assert "export needs torch" in said_of(ModuleNotFoundError("x", name="torch"), capsys).replace("fit", "export")
