"""The command line: ``smart-retail`` (also ``python -m smart_retail``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from itertools import chain

from smart_retail import __version__
from smart_retail.config_files import check_config_files, data_section
from smart_retail.failures import INSTALL_TRAIN, WRONG, exit_code
from smart_retail.named_configs import find_configs
from smart_retail.own_code import find_in_working_directory, import_own

COMMANDS = {
    "configs": ("smart_retail.named_configs:configs", "list the configs that come along, or print one to copy"),
    "data": ("smart_retail.training.data_command:data", "list the faces of a config: labels, duplicates, splits"),
    "fit": ("smart_retail.training.commands:fit", "train, or go on: --config experiment/demo.yaml"),
    "validate": ("smart_retail.training.commands:validate", "measure on the validation faces"),
    "test": ("smart_retail.training.commands:test", "measure on the test faces: --config ... --ckpt_path best"),
    "evaluate": ("smart_retail.evaluation.command:evaluate", "a report of one network, or of several side by side"),
    "soft_targets": (
        "smart_retail.training.soft_targets:soft_targets",
        "precompute what teachers predict, to distil from",
    ),
    "sweep": ("smart_retail.sweep.command:sweep", "try configurations and rank them: --config sweep/demo.yaml"),
    "replay": ("smart_retail.training.replay:replay", "the step at which a training diverged, under a lens"),
    "reproduce": ("smart_retail.training.reproduce:reproduce", "run a training again and compare the numbers"),
    "export": ("smart_retail.export.export_command:export", "write a bundle: FP32 and INT8, checked"),
    "weights": ("smart_retail.export.weights_command:weights", "write a network as one small file to start from"),
    "predict": ("smart_retail.edge.predict_command:predict", "judge face crops, or the faces in photos: faces/*.jpg"),
    "watch": ("smart_retail.edge.watch_command:watch_source", "count the people before a camera: watch 0"),
    "detect": ("smart_retail.edge.detect_command:detect", "find the faces in a table of photos"),
    "verify": ("smart_retail.edge.predict_command:verify_bundle", "recheck a bundle"),
    "benchmark step": ("smart_retail.training.benchmark:step", "images a second of the training step"),
    "benchmark loader": ("smart_retail.training.benchmark_loader:loader", "images a second of reading and augmenting"),
    "benchmark bundle": ("smart_retail.export.benchmark_command:benchmark_bundle", "a bundle in every runtime"),
    "benchmark watch": ("smart_retail.edge.watch_benchmark:benchmark_watch", "what a frame of a camera costs"),
}
"""Name: function that takes the words after it, and what it does."""
EDGE = (
    "smart_retail.named_configs:",
    "smart_retail.edge.predict_command:",
    "smart_retail.edge.watch",
    "smart_retail.export.benchmark_command:",
)
"""How the places of the commands begin that run with the extra ``edge``; the others need ``train``."""
USAGE = "usage: smart-retail COMMAND [OPTIONS]"
LAST = "smart-retail COMMAND --help tells the options of each, --version the version."


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: the words after the program's name; None for those of the process.

    Returns:
        Exit code: 0, 2 for what the user can put right, 130 after Ctrl-C, 141 where nobody reads on.
    """
    words = [*(sys.argv[1:] if args is None else args)]
    # The first word that is no command: all of them are asked for, or those that begin with it, or it is wrong.
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in COMMANDS), None)
    # Read when torch loads its OpenMP runtime: two spinning threads on two cores slow each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # a log file cannot redraw a bar; read when tqdm is imported
    try:
        if name is None:
            return _without_command(words)
        rest = find_configs(words[len(name.split()) :])
        find_in_working_directory()
        check_config_files(rest)
        import_own(rest)
        if "FaceTable" in str(data := data_section(rest)):
            import_module("smart_retail.data.sources.table").check_tables(data)  # in a second, and not after PyTorch
        module, _, function = COMMANDS[name][0].partition(":")
        code = getattr(import_module(module), function)(rest)
        sys.stdout.flush()  # here, where a closed pipe is caught
        return code or 0
    except BaseException as error:
        code = exit_code(error, name or "")
        if code is None:
            raise
        return code


def _without_command(words: Sequence[str]) -> int:
    """Say which commands there are: all, or those of a family (``benchmark``)."""
    first = next(iter(words), "--help")
    if first == "--version":
        print(f"smart-retail {__version__}")
        return 0
    family = {name: line for name, (_, line) in COMMANDS.items() if first in ("-h", "--help", name.split()[0])}
    if {first, *words[1:2]} & {"-h", "--help"} and family:
        ready = {n: line for n, line in family.items() if find_spec("torch") or COMMANDS[n][0].startswith(EDGE)}
        parts = {"commands:": ready, f"after {INSTALL_TRAIN}:": {n: family[n] for n in family if n not in ready}}
        lists = (
            [title, *(f"  {name:18}{line}" for name, line in part.items()), ""] for title, part in parts.items() if part
        )
        print(USAGE, "", *chain.from_iterable(lists), LAST, sep="\n", flush=True)
        return 0
    typed = " ".join(words[:2] if family else words[:1])
    near = ", ".join(family or get_close_matches(typed, COMMANDS, 3, 0.75))
    known = f"near it: {near}" if near else "smart-retail --help lists them"
    print(f"error: no command {typed!r}; {known}", file=sys.stderr)
    return WRONG


if __name__ == "__main__":
    sys.exit(main())
