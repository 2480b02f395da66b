"""Bundles that come from anyone: judged as they promise, or refused in a line."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from smart_retail.cli import main
from smart_retail.contract import Contract
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import Manifest, read_manifest, sha256
from smart_retail.edge.prediction import Prediction
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import BundleError
from smart_retail.tasks import TASKS
from tests.helpers.fuzz import damaged, fuzz, json_values, only_clear_errors, tree
from tests.helpers.hostile_images import encoded

SIZE = 32
OUTPUTS = {"gender": 2, "age": 1, "emotion": 6}
FACE = np.full((1, SIZE, SIZE, 3), 128, np.uint8)


def network(widths: dict[str, int], *, value: float = 0.5, size: int = SIZE, kind: int = TensorProto.FLOAT) -> bytes:
    """Return a network that says one value whatever it sees: small enough to damage it a thousand times."""
    nodes, outputs = [], []
    images = helper.make_tensor_value_info("image", kind, ["batch", 3, size, size])
    constants = [helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])]
    for name, width in widths.items():
        constants.append(helper.make_tensor(f"w_{name}", TensorProto.FLOAT, [1, width], [value] * width))
        nodes.append(helper.make_node("ReduceMean", ["image"], [f"m_{name}"], axes=[1, 2, 3], keepdims=0))
        nodes.append(helper.make_node("Unsqueeze", [f"m_{name}", "axis"], [f"u_{name}"]))
        nodes.append(helper.make_node("Mul", [f"u_{name}", "zero"], [f"z_{name}"]))
        nodes.append(helper.make_node("Add", [f"z_{name}", f"w_{name}"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]))
    constants.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    graph = helper.make_graph(nodes, "g", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"contract": json.dumps(Contract(image_size=SIZE).to_dict())})
    return bytes(model.SerializeToString())


def write(folder: Path, model: bytes, golden: dict[str, np.ndarray] | bytes | None = None, **changes: Any) -> Path:
    """Write a bundle whose sums are right, whatever is in it."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    if not isinstance(golden, bytes):
        stored = {f"fp32.{name}": np.full((1, width), 0.5, np.float32) for name, width in OUTPUTS.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **({"crops": FACE} | stored | (golden or {})))
        golden = buffer.getvalue()
    (folder / "golden.npz").write_bytes(golden)
    files = {name: sha256(folder / name) for name in ("model.onnx", "golden.npz")}
    manifest = Manifest(Contract(image_size=SIZE), "float32", "probabilities", tuple(OUTPUTS), files)
    values = json.loads(manifest.dump()) | changes
    (folder / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def use(folder: Path) -> None:
    """Do all that is done with a bundle; what it says, it must say whole."""
    with only_clear_errors():
        verify(folder)
    with only_clear_errors():
        predictor = Predictor.from_bundle(folder, precision="fp32")
        (said,) = predictor.predict_crops(FACE)
        assert isinstance(said, Prediction) and list(said.attributes) == list(predictor.contract.task_names)
        for task in predictor.contract.tasks:
            value = said.attributes[task.name].value
            assert value in task.classes if task.is_classes else 0 <= float(value) <= 100
        json.dumps(said.to_dict())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write(tmp_path_factory.mktemp("tiny") / "bundle", network(OUTPUTS))
    assert verify(folder) == {"fp32": 0.0}
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every entry of nested JSON."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path] + [place for key, value in inner for place in places(value, (*path, key))]


@fuzz(150)
@given(data=st.data())
def test_manifests_with_odd_values(tiny: Path, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("odd") / "b"))
    values = json.loads((folder / "manifest.json").read_text())
    *way, last = data.draw(st.sampled_from(places(values)[1:]))
    inner = values
    for key in way:
        inner = inner[key]
    inner[last] = data.draw(st.one_of(json_values, st.just("../../secret"), st.just([{}]), st.just({"bands": [{}]})))
    (folder / "manifest.json").write_text(json.dumps(values))
    before = tree(folder.parent)
    use(folder)
    assert tree(folder.parent) == before


WORDS = st.sampled_from(["gender", "age", "emotion", "age_low", "path", "class", "a b", "_x", "é", "male", "yes", ""])
CLASSES = st.lists(st.one_of(WORDS, json_values), max_size=7) | st.just(["male", "female"]) | json_values
TASK = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(WORDS, json_values),
        "kind": st.one_of(st.sampled_from(["classes", "years"]), json_values),
        "classes": CLASSES,
        "opinions": CLASSES,
        "x": json_values,
    },
)
SOUND = [task.to_dict() for task in TASKS]
ODD_TASKS = st.one_of(
    st.lists(st.one_of(TASK, st.sampled_from(SOUND), json_values), max_size=4),
    st.permutations(SOUND),
    st.lists(st.tuples(st.sampled_from(SOUND), TASK).map(lambda pair: pair[0] | pair[1]), max_size=3),
    TASK,
    json_values,
)


@fuzz(150)
@given(tasks=ODD_TASKS)
def test_contracts_with_odd_tasks(tiny: Path, tmp_path_factory: pytest.TempPathFactory, tasks: Any) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("tasks") / "b"))
    values = json.loads((folder / "manifest.json").read_text())
    values["contract"]["tasks"] = tasks
    (folder / "manifest.json").write_text(json.dumps(values))
    use(folder)


@fuzz(60)
@given(data=st.data())
def test_damaged_manifests(tiny: Path, tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path_factory.mktemp("cut") / "b"))
    (folder / "manifest.json").write_bytes(data.draw(damaged((folder / "manifest.json").read_bytes())))
    use(folder)


@fuzz(60)
@given(data=st.data())
def test_damaged_networks_and_answers_with_right_sums(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("resealed") / "b"
    model = network(OUTPUTS)
    if data.draw(st.booleans()):
        use(write(folder, data.draw(damaged(model))))
    else:
        use(write(folder, model, data.draw(st.one_of(st.binary(max_size=200), damaged(golden())))))


def golden() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, crops=FACE, **{f"fp32.{n}": np.full((1, w), 0.5, np.float32) for n, w in OUTPUTS.items()})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (network(OUTPUTS | {"emotion": 7}), "answers emotion"),
        (network({"gender": 2, "age": 1}), "answers gender, age; the manifest promises"),
        (network(OUTPUTS, size=64), "the contract says faces of 32 px"),
        (network(OUTPUTS, kind=TensorProto.DOUBLE), "cannot read it|contract says"),
        (network(OUTPUTS, value=float("nan")), "answers other than|are no numbers"),
        (b"", "cannot read it"),
        (b"\x89PNG", "cannot read it"),
    ],
)
def test_networks_that_do_not_fit_are_refused(tmp_path: Path, model: bytes, message: str) -> None:
    folder = write(tmp_path / "b", model)
    with pytest.raises(BundleError, match=message):
        Predictor.from_bundle(folder).predict_crops(FACE)
    with pytest.raises(BundleError, match=message):
        verify(folder)


@pytest.mark.parametrize(
    "odd",
    [
        {"crops": FACE.astype(np.float32)},
        {"crops": FACE[:0]},
        {"crops": FACE[:, :16]},
        {"fp32.gender": np.full((2, 2), 0.5, np.float32)},
        {"fp32.age": np.full((1, 1), np.nan, np.float32)},
        {"fp32.emotion": np.array([[None] * 6], object)},
        {"fp32.emotion": np.array([["x"] * 6])},
    ],
)
def test_stored_answers_that_do_not_fit_are_refused(tmp_path: Path, odd: dict[str, np.ndarray]) -> None:
    with pytest.raises(BundleError, match=r"golden|answers other"):
        verify(write(tmp_path / "b", network(OUTPUTS), odd))


def test_weights_from_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(8))
    model = onnx.load_from_string(network(OUTPUTS))
    weights = next(t for t in model.graph.initializer if t.name == "w_gender")
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../secret")
    with pytest.raises(BundleError, match="cannot read it"):
        Predictor.from_bundle(write(tmp_path / "b", model.SerializeToString()))


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"format": 1' + "0" * 5_000 + "}", '{"format": true}', "NaN", "[]", ""]
)
def test_json_to_break_a_parser_is_refused(copy: Path, text: str) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read_manifest(copy)


def test_newer_formats_are_refused_whatever_else_they_hold(copy: Path) -> None:
    (copy / "manifest.json").write_text('{"format": 999999999999}')
    with pytest.raises(BundleError, match="update smart_retail"):
        Predictor.from_bundle(copy)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz"])
def test_links_out_of_the_bundle_are_refused(copy: Path, name: str) -> None:
    (copy / name).rename(copy.parent / "elsewhere")
    (copy / name).symlink_to(copy.parent / "elsewhere")
    with pytest.raises(BundleError, match="link to a file outside"):
        verify(copy)


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "manifest.json"])
def test_pipes_and_folders_are_refused_not_waited_for(copy: Path, name: str) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(BundleError):
        verify(copy)
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(BundleError):
        verify(copy)


def test_a_zip_that_climbs_out_of_its_folder_writes_nothing(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("../../owned.npy", b"x")
    with pytest.raises(BundleError):
        verify(write(tmp_path / "b", network(OUTPUTS), buffer.getvalue()))
    assert tree(tmp_path) == {"b", "b/model.onnx", "b/golden.npz", "b/manifest.json"}


def test_predict_prints_names_that_are_no_text(
    tiny: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff\n\x1b[31m.png", "wb") as file:  # noqa: PTH123 - no Path of bytes
        file.write(encoded("PNG"))
    for way in ("json", "csv"):
        assert main(["predict", "--bundle", str(tiny), str(tmp_path), "--format", way]) == 0
    assert b"\xff" in capfdbinary.readouterr().out  # as the file is called
    assert main(["predict", "--bundle", str(tiny), str(tmp_path), "--draw", str(tmp_path / "drawn")]) == 0
    assert b"\x1b" not in capfdbinary.readouterr().out
    assert len(list((tmp_path / "drawn").iterdir())) == 1


def test_without_age_bands_no_interval_is_told(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "face.png").write_bytes(encoded("PNG"))
    said = {}
    for way in ("json", "csv", "table"):
        face, drawn = str(tmp_path / "face.png"), str(tmp_path / "drawn")
        assert main(["predict", "--bundle", str(tiny), face, "--format", way, "--draw", drawn]) == 0
        said[way] = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(said["json"])["age_from"] is None
    assert ",,angry," in said["csv"] and " to " not in said["table"]


def test_drawn_pictures_of_one_name_are_all_kept(tiny: Path, tmp_path: Path) -> None:
    for name in ("a/1.png", "a/1-2.png", "b/1.png", "b/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded("PNG"))
    assert main(["predict", "--bundle", str(tiny), str(tmp_path), "--draw", str(tmp_path / "drawn")]) == 0
    assert sorted(p.stem for p in (tmp_path / "drawn").iterdir()) == ["1", "1-2", "1-3", "1-4"]


def test_pictures_are_never_drawn_over(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "face.png").write_bytes(encoded("PNG"))
    assert main(["predict", "--bundle", str(tiny), str(tmp_path / "face.png"), "--draw", str(tmp_path)]) == 2
    assert "which it would overwrite" in capsys.readouterr().err
    assert (tmp_path / "face.png").read_bytes() == encoded("PNG")


@pytest.mark.parametrize("count", [2, 300])  # less and more than stdout holds back
def test_a_reader_that_has_seen_enough_ends_it_silently(tiny: Path, tmp_path: Path, count: int) -> None:
    for i in range(count):
        (tmp_path / f"{i:03}-{'x' * 60}.png").write_bytes(encoded("PNG"))
    words = [sys.executable, "-m", "smart_retail", "predict", "--bundle", str(tiny), str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout and child.stderr
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 141
