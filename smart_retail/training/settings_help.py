"""``fit --help``: the settings that people set, read from the source: torch and Lightning take seconds to import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from smart_retail.arguments import command_parser

SECTIONS = {
    "data": "smart_retail.data.datamodule.FaceDataModule",
    "model": "smart_retail.training.module.FaceAttributeModule",
    "ema": "smart_retail.callbacks.ema.EMA",
    "last": "smart_retail.callbacks.last_checkpoint.LastCheckpoint",
    "figures": "smart_retail.callbacks.figures.Figures",
}
"""The class whose settings stand below each name."""
LINKED = {"model.tasks": "data.tasks", "model.image_size": "data.image_size", "model.crop": "data.crop"}
"""Settings of the network that follow those of the data, and are not set themselves."""
RUN = {
    "config": ("FILE", "YAML with any settings, yours or of `smart-retail configs`; of several the later ones win"),
    "run": ("TEXT", "name of the run: all it leaves lies in lightning_logs/<run>/version_N (default: run)"),
    "ckpt_path": ("FILE", "a checkpoint to go on from or to measure; last and best mean the run's own"),
    "seed_everything": ("INT", "of the weights and of all that is random in training (default: 0)"),
    "threads": ("INT", "threads of the training step on a CPU"),
    "imports": ("MODULE", "modules of your own to import, beside your configs: my_ideas for my_ideas.py"),
    "module": ("CLASS", "your own subclass of FaceAttributeModule, as my_ideas.MyModule"),
    "print_config": ("", "print all settings as YAML, and end"),
}
TRAINER = {
    "trainer.max_epochs": ("INT", "epochs to train"),
    "trainer.max_time": ("DD:HH:MM:SS", "time to train; what comes first ends the run"),
    "trainer.precision": ("TEXT", "bf16-mixed or 16-mixed, faster on some processors (default: 32-true)"),
    "trainer.accelerator": ("TEXT", "cpu, gpu, or auto for the best there is (default: auto)"),
    "trainer.devices": ("INT", "how many of them, or auto (default: auto)"),
    "trainer.strategy": ("TEXT", "ddp for several devices or machines"),
    "trainer.num_nodes": ("INT", "machines (default: 1)"),
    "trainer.default_root_dir": ("FOLDER", "where lightning_logs lies, if not here"),
    "trainer.logger": ("CLASS", "WandbLogger, ... beside metrics.csv and TensorBoard; false leaves TensorBoard out"),
    "trainer.callbacks+": ("CLASS", "smart_retail.callbacks.onnx_export.ONNXExport writes a bundle after the training"),
}
KINDS = {"bool": "[true|false]", "int": "INT", "float": "NUMBER", "str": "TEXT", "dict": "MAP", "list": "LIST"}
PACKAGE = Path(__file__).parents[1]


class Setting(NamedTuple):
    """One setting: its full name, what its value looks like, what it is for, its default as YAML ("" for none)."""

    name: str
    kind: str
    text: str
    default: str


def settings_of(section: str, place: str) -> Iterator[Setting]:
    """Yield the settings of a class, and of the dataclasses that its defaults are made of.

    Args:
        section: what stands before their names.
        place: module and name of the class.
    """
    module, _, name = place.rpartition(".")
    tree = ast.parse(PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    places = {alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    init = next((node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"), None)
    texts = dict(re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", ast.get_docstring(init or found) or "", re.MULTILINE))
    for field, annotation, default in _fields(found, init):
        kind, full = ast.unparse(annotation), f"{section}.{field}"
        if isinstance(default, ast.Call) and ast.unparse(default.func) == kind:
            yield from settings_of(full, places.get(kind, f"{module}.{kind}"))
        elif full not in LINKED:
            text = " ".join(texts.get(field, "").replace("``", "").split())
            yield Setting(full, KINDS.get(re.split(r"[\[ ]", kind)[0], kind), text, _yaml(default))


def print_settings_help(command: str, description: str, wanted: Sequence[str] = ()) -> None:
    """Print the settings, or those of the sections that are wanted."""
    usage = f"smart-retail {command} --config FILE [--config FILE ...] [--SETTING VALUE ...]"
    more = f"{command} --help trainer lists the rest of Lightning's trainer, --help data only the settings of the data."
    parser = command_parser(command, description, usage=usage, epilog=more, add_help=False)
    tables = {"run": RUN} | {section: SECTIONS[section] for section in SECTIONS} | {"trainer": TRAINER}
    for section, table in tables.items():
        if wanted and section not in wanted:
            continue
        group = parser.add_argument_group(section)
        if isinstance(table, str):
            for name, kind, text, default in settings_of(section, table):
                group.add_argument(f"--{name}", metavar=kind, help=f"{text} (default: {default})" if default else text)
        else:
            for name, (kind, text) in table.items():
                group.add_argument(f"--{name}", metavar=kind, help=text)
    parser.print_help()


def _fields(found: ast.ClassDef, init: ast.FunctionDef | None) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    """Yield name, annotation and default of each argument of ``__init__``, or of each field of a dataclass."""
    if init is None:
        for node in found.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id, node.annotation, node.value
        return
    arguments = init.args.args[1:]
    defaults = [*[None] * (len(arguments) - len(init.args.defaults)), *init.args.defaults]
    for argument, default in zip(arguments, defaults, strict=True):
        if argument.annotation is not None:
            yield argument.arg, argument.annotation, default


def _yaml(default: ast.expr | None) -> str:
    """Return a default as it would be written; "" where there is none to speak of."""
    text = "" if default is None or isinstance(default, ast.Call) else ast.unparse(default)
    return {"None": "", "[]": "", "True": "true", "False": "false"}.get(text, text.strip("'"))
