"""Weights, checkpoints, soft targets and predictions that come from anyone: read as data, or refused."""

import io
import json
import pickle
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from smart_retail.cli import main
from smart_retail.contract import Contract
from smart_retail.data.npz import read_npz
from smart_retail.data.soft_targets import read_soft_targets, write_soft_targets
from smart_retail.errors import CheckpointError, DataError
from smart_retail.evaluation.metrics import tabulate
from smart_retail.evaluation.predictions import probability_columns, read_predictions
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.load import load_model, network_from, read_model
from smart_retail.models.pretrained import read_weights
from smart_retail.models.weights_file import PROVENANCE
from smart_retail.tasks import EMOTION, TASKS
from tests.helpers.fuzz import damaged, fuzz, json_values, only_clear_errors, tree
from tests.unit.test_load import SETTINGS, Attack


def saved(content: object, **how: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


SMALL = {"state_dict": {"net.a": torch.ones(3)}, "hyper_parameters": {"x": 1}, "contract": {}, "epoch": 3}
NEW, OLD = saved(SMALL), saved(SMALL, _use_new_zipfile_serialization=False)
SAFE = save({"a": torch.ones(3), "b": torch.ones(2, dtype=torch.int64)}, {PROVENANCE: json.dumps({"contract": {}})})


@fuzz(120)
@given(st.one_of(damaged(NEW), damaged(OLD), st.binary(max_size=200)))
def test_damaged_checkpoints(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pth"
        path.write_bytes(content)
        for read in (read_checkpoint, read_model, read_weights):
            with only_clear_errors():
                read(path)
        assert tree(Path(folder)) == {"model.pth"}


@fuzz(120)
@given(st.one_of(damaged(SAFE), st.binary(max_size=200), json_values.map(lambda v: _safetensors(json.dumps(v)))))
def test_damaged_safetensors(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        for read in (read_checkpoint, read_model, read_weights):
            with only_clear_errors():
                read(path)


def _safetensors(header: str) -> bytes:
    return len(header.encode()).to_bytes(8, "little") + header.encode() + bytes(32)


def test_a_story_nested_beyond_reading_is_refused(tmp_path):
    (tmp_path / "deep.safetensors").write_bytes(save({"a": torch.ones(1)}, {PROVENANCE: "[" * 100_000}))
    with pytest.raises(CheckpointError, match="settings are damaged"):
        read_checkpoint(tmp_path / "deep.safetensors")


def attacks(path: Path) -> dict[str, bytes]:
    """Return files by name that make a folder when they are unpickled."""
    attack = Attack(path)
    inside = {"state_dict": {"net.a": torch.ones(1)}, "hyper_parameters": attack, "pytorch-lightning_version": "2.6"}
    keys = io.BytesIO()
    np.savez(keys, keys=np.array([attack], object), gender=np.zeros((1, 2)))
    tar = pickle.dumps(attack)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(attack, 2))
        file.writestr("archive/version", "3")
    return {
        "plain.pth": tar,
        "new.pth": saved(attack),
        "inside.ckpt": saved(inside),
        "old.pth": saved(inside, _use_new_zipfile_serialization=False),
        "archive.pth": archive.getvalue(),
        "named.safetensors": tar,
        "soft.npz": keys.getvalue(),
        "soft_pickle.npz": tar,
        "table.parquet": tar,
        "table.csv": tar,
    }


def test_the_attack_works_where_files_are_unpickled(tmp_path):
    pickle.loads(attacks(tmp_path / "owned")["plain.pth"])
    assert (tmp_path / "owned").is_dir()


def test_code_in_a_file_never_runs(tmp_path, capsys):
    for name, content in attacks(tmp_path / "owned").items():
        path = tmp_path / name
        path.write_bytes(content)
        for read in (
            read_checkpoint,
            load_model,
            read_model,
            read_weights,
            lambda p: read_soft_targets(p, ["a"], TASKS),
        ):
            with pytest.raises((CheckpointError, DataError)):
                read(path)
        report = ["--output", str(tmp_path / "out")]
        for words in (
            ["weights", "--checkpoint", str(path), "--output", str(tmp_path / "out.safetensors")],
            ["export", "--checkpoint", str(path), *report],
            ["evaluate", str(path), *report],
            ["evaluate", "x=" + str(path), *report],
            ["fit", "--config", "configs/experiment/demo.yaml", "--ckpt_path", str(path)],
            ["predict", "--bundle", str(tmp_path), str(path)],
            ["verify", "--bundle", str(path)],
        ):
            assert main(words) == 2, words
            assert "Traceback" not in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(attacks(tmp_path))


MODEL = {"model_state_dict": network_from(SETTINGS).state_dict(), "hyper_parameters": SETTINGS}
MODEL["contract"] = Contract(image_size=48).to_dict()


@fuzz(40)
@given(st.data())
def test_models_with_odd_entries(data):
    content = {name: dict(part) for name, part in MODEL.items()}
    part = data.draw(st.sampled_from([*MODEL, "whole"]))
    odd = data.draw(json_values.filter(_plain))
    if part == "whole":
        content[data.draw(st.sampled_from(list(MODEL)))] = odd
    elif part == "model_state_dict":
        content[part][data.draw(st.sampled_from(["heads.gender.weight", "gender.weight", "x"]))] = odd
    else:
        content[part][data.draw(st.sampled_from([*MODEL[part], "x"]))] = odd
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        torch.save(content, Path(folder) / "model.pth")
        load_model(Path(folder) / "model.pth")


def _plain(value: object) -> bool:
    """Whether torch's own reader takes numbers of that size."""
    return "e+" not in repr(value) and len(repr(value)) < 300


KEYS = [f"own/{i}" for i in range(3)]


def soft_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "soft.npz"
        labels = {task.name: torch.full((3, task.width), 1 / task.width) for task in TASKS}
        write_soft_targets(path, KEYS, labels, TASKS, {})
        return path.read_bytes()


SOFT = soft_file()


@st.composite
def odd_arrays(draw: st.DrawFn) -> bytes:
    arrays = {"keys": np.array(KEYS), "gender": np.zeros((3, 2), np.float16)}
    arrays |= {"age": np.zeros((3, 101), np.float16), "emotion": np.zeros((3, 6), np.float16)}
    kinds = st.sampled_from(["f2", "f8", "i4", "?", "U3", "S2", "c8", "M8[s]", "V4", "O"])
    shapes = st.lists(st.integers(0, 4), max_size=3)
    for name in draw(st.lists(st.sampled_from(list(arrays)), max_size=3)):
        arrays[name] = np.empty(draw(shapes), draw(kinds))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@fuzz(150)
@given(st.one_of(damaged(SOFT), odd_arrays(), st.binary(max_size=100)))
def test_soft_targets(content):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        path = Path(folder) / "soft.npz"
        path.write_bytes(content)
        soft = read_soft_targets(path, KEYS, TASKS)
        assert {name: tuple(value.shape) for name, value in soft.items()} == {t.name: (3, t.width) for t in TASKS}


def test_arrays_that_promise_or_unfold_too_much_are_refused(tmp_path):
    header = np.lib.format.magic(1, 0) + b"\x76\x00"
    header += b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117) + b"\n"
    for name, content in (("promise.npz", header), ("unfold.npz", header + bytes(1 << 24))):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("keys.npy", content)
        with pytest.raises(DataError, match=name):
            read_npz(tmp_path / name, 1 << 20)


PREDICTIONS = {
    "key": KEYS, "dataset": ["own"] * 3, "race": [""] * 3, "cluster": [0, 1, 2], "gender": [0.0, 1, np.nan],
    "age": [3.0, 40, np.nan], "emotion": [np.nan, 2, 5], "p_gender_male": [0.5] * 3,
    "p_gender_female": [0.5] * 3,
    "age_pred": [4.0, 5, 6], "age_std": [1.0] * 3,
    **{name: [0.2] * 3 for name in probability_columns(EMOTION)},
}  # fmt: skip
ODD = st.one_of(st.none(), st.text(max_size=4), st.floats(), st.integers(-5, 300), st.booleans())


@fuzz(60)
@given(st.data())
def test_predictions(data):
    odd = data.draw(st.dictionaries(st.sampled_from(list(PREDICTIONS)), ODD.map(lambda v: [v] * 3), max_size=2))
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        path = Path(folder) / data.draw(st.sampled_from(["p.csv", "p.parquet"]))
        frame = pd.DataFrame(PREDICTIONS | odd)
        frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
        if data.draw(st.booleans()):
            path.write_bytes(data.draw(damaged(path.read_bytes())))
        tabulate(read_predictions(path))
