"""The direction of imports: data knows nothing of models, models nothing of Lightning, help nothing of torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import smart_retail

PACKAGE = Path(smart_retail.__file__).parent
HEAVY = {"torch", "lightning", "timm", "numpy", "pandas", "cv2", "albumentations", "torchmetrics"}


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(part: str) -> list[Path]:
    found = sorted((PACKAGE / part).rglob("*.py"))
    assert found
    return found


def reaches(path: Path, *forbidden: str) -> set[str]:
    return {name for name in imports(path) if any(name == f or name.startswith(f"{f}.") for f in forbidden)}


@pytest.mark.parametrize("path", files("data"), ids=lambda path: path.stem)
def test_data_knows_nothing_of_models_and_training(path):
    assert not reaches(path, "smart_retail.models", "smart_retail.training", "smart_retail.callbacks", "timm")


@pytest.mark.parametrize("path", files("data"), ids=lambda path: path.stem)
def test_of_data_only_the_data_module_knows_lightning(path):
    assert path.stem == "datamodule" or not reaches(path, "lightning")


@pytest.mark.parametrize("path", files("data/sources"), ids=lambda path: path.stem)
def test_sources_do_without_torch(path):
    assert not reaches(path, "torch")


@pytest.mark.parametrize("path", files("models"), ids=lambda path: path.stem)
def test_models_are_pure_pytorch(path):
    forbidden = ("lightning", "smart_retail.data", "smart_retail.training", "smart_retail.callbacks")
    assert not reaches(path, *forbidden)


def test_no_bar_is_drawn_into_a_log_file():
    calls = [node for path in files("") for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    bars = [{word.arg for word in call.keywords} for call in calls if getattr(call.func, "id", "") == "tqdm"]
    assert bars and all("disable" in words for words in bars)


@pytest.mark.parametrize("path", [*files("edge")], ids=lambda path: path.stem)
def test_a_camera_knows_nothing_of_training(path):
    floors = ("models", "training", "callbacks", "quantise", "export", "evaluation", "sweep")
    assert not reaches(path, "lightning", "timm", *(f"smart_retail.{floor}" for floor in floors))


@pytest.mark.parametrize("path", [*files("quantise"), *files("export")], ids=lambda path: path.stem)
def test_a_bundle_is_made_without_lightning(path):
    assert not reaches(path, "lightning", "smart_retail.training", "smart_retail.callbacks")


@pytest.mark.parametrize("path", files("."), ids=lambda path: path.stem)
def test_checkpoints_are_never_unpickled(path):
    """Every ``torch.load`` says ``weights_only=True``, and nothing imports pickle but for its exceptions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "pickle.load", "pickle.loads"):
            assert "weights_only=True" in ast.unparse(node)


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    return {name.split(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    "statement",
    [
        "import smart_retail; smart_retail.GENDERS",
        "from smart_retail.cli import main; main(['--help'])",
        "from smart_retail.cli import main; main([])",
        "import smart_retail.contract, smart_retail.errors, smart_retail.runs",
    ],
)
def test_help_and_vocabulary_load_nothing_heavy(statement):
    assert not loaded_after(statement) & HEAVY


def test_the_network_loads_without_lightning():
    assert "lightning" not in loaded_after("from smart_retail import load_model")


@pytest.mark.parametrize("path", files("callbacks"), ids=lambda path: path.stem)
def test_callbacks_know_nothing_of_the_training_that_wires_them(path):
    assert not reaches(path, "smart_retail.training", "smart_retail.evaluation", "smart_retail.cli")


@pytest.mark.parametrize("path", files("."), ids=lambda path: path.stem)
def test_nothing_but_the_programs_entry_imports_the_command_line(path):
    assert path.stem == "__main__" or not reaches(path, "smart_retail.cli")


def test_the_camera_needs_no_parser():
    assert "jsonargparse" not in loaded_after("from smart_retail.edge.predictor import Predictor")


def test_help_of_fit_loads_nothing_heavy():
    assert not loaded_after("from smart_retail.cli import main; main(['fit', '--help'])") & HEAVY


def test_no_module_imports_itself_by_way_of_others():
    paths = {".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts): p for p in files(".")}
    graph = {name: imports(path) & paths.keys() - {name} for name, path in paths.items()}

    def reached(name: str) -> set[str]:
        found, ahead = set(), [name]
        while ahead:
            ahead += (new := graph[ahead.pop()] - found)
            found |= new
        return found

    assert not {name for name in graph if name in reached(name)}
