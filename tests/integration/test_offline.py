"""No network unless asked: every call that would reach one is refused, and the whole way on drawn faces works."""

import os
import subprocess
import sys

import pytest

from tests.helpers.runs import FIGURES, write_config

CODE = """
import socket, sys
def refuse(*words, **named):
    print("NETWORK", words[1:] or words, file=sys.stderr)
    raise OSError("no network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.gethostbyname = refuse
socket.create_connection = refuse
from smart_retail.cli import main
import importlib
for name in {modules!r}:
    importlib.import_module(name)
sys.exit(main({words!r}))
"""
MODULES = (
    "smart_retail.data.transforms",
    "kagglehub",
    "optuna",
    "huggingface_hub",
    "timm",
    "onnxruntime",
    "tensorboard",
)


@pytest.mark.slow
def test_a_training_asks_no_network_and_reports_to_nobody(tmp_path):
    config = write_config(tmp_path, figures=FIGURES)
    words = ["fit", "--config", str(config), "--trainer.max_steps", "2"]
    code = CODE.format(modules=(*MODULES, "smart_retail.sweep.command", "smart_retail.export.export"), words=words)
    quiet = {"NO_ALBUMENTATIONS_UPDATE", "HF_HUB_OFFLINE", "DO_NOT_TRACK"}
    environment = {k: v for k, v in os.environ.items() if k not in quiet}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "NETWORK" not in done.stderr
    assert done.returncode == 0, done.stderr[-2_000:]


@pytest.mark.parametrize("command", ["--help", "predict --help", "verify --help"])
def test_help_of_what_runs_at_the_edge_loads_no_torch(command):
    code = f"import sys\nfrom smart_retail.cli import main\ntry: main({command.split()!r})\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "pandas", "onnxruntime"} & {name.split(".")[0] for name in done.stderr.split()}
