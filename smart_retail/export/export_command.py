"""``smart-retail export``: from a checkpoint to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.config_files import read_text, read_yaml
from smart_retail.export.export import ExportSettings, export_bundle
from smart_retail.export.model_card import summary
from smart_retail.runs import find_checkpoint


def export(args: Sequence[str]) -> None:
    """Export; ``args`` are the words after ``export``.

    Raises:
        ConfigError: a file of settings or notes cannot be read.
    """
    parser = command_parser(
        "export", "Write a checked bundle: FP32 and INT8 networks, manifest, model card.", imports=True
    )
    parser.add_argument("--config", action="config", help="YAML with any of these settings")
    parser.add_argument(
        "--checkpoint", type=str, required=True, help="a run's folder (its best), or a .ckpt or model.pth"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--data", type=Path, help="YAML with data:, where not the training's own is meant")
    parser.add_argument("--notes", type=Path, help="Markdown for the model card: how it was made, what was tried")
    parser.add_argument(
        "--tasks", nargs="+", type=str, help="what it answers; the other heads are left out of all files"
    )
    names = parser.add_class_arguments(ExportSettings, skip={"notes", "tasks"})
    options = parser.instantiate(parse(parser, args))
    values = {name: options[name] for name in {n.split(".")[0] for n in names}}
    notes, tasks = read_text(options.notes) if options.notes else "", options.tasks and tuple(options.tasks)
    settings = ExportSettings(**values, notes=notes, tasks=tasks)
    checkpoint = find_checkpoint(options.checkpoint, run="run")
    data = read_yaml(options.data) if options.data else None
    print(summary(export_bundle(checkpoint, options.output, settings, data)))
    print(f"bundle: {options.output}")
    checked = f"benchmark bundle --bundle {options.output} --checkpoint {options.checkpoint} --faces 500"
    print(next_steps(f"verify --bundle {options.output}", f"predict --bundle {options.output} faces/", checked))
