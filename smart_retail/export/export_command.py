"""``smart-retail export``: from a checkpoint to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jsonargparse import ArgumentParser

from smart_retail.config_files import guard_parsers, read_text, read_yaml
from smart_retail.export.export import ExportSettings, export_bundle
from smart_retail.export.model_card import summary
from smart_retail.runs import find_checkpoint


def export(args: Sequence[str]) -> None:
    """Export; ``args`` are the words after ``export``.

    Raises:
        ConfigError: a file of settings or notes cannot be read.
    """
    guard_parsers()
    parser = ArgumentParser(
        prog="smart-retail export",
        exit_on_error=False,
        allow_abbrev=False,
        description="Write a checked bundle: FP32 and INT8 networks, manifest, model card.",
    )
    parser.add_argument("--config", action="config", help="YAML with any of these settings")
    parser.add_argument(
        "--checkpoint", type=str, required=True, help="a run's folder (its best), or a .ckpt or model.pth"
    )
    parser.add_argument("--output", type=str, required=True, help="folder of the bundle")
    parser.add_argument("--data", type=str | None, help="YAML with `data:`, where not the training's own is meant")
    parser.add_argument("--notes", type=str | None, help="Markdown for the model card: how it was made, what was tried")
    names = parser.add_class_arguments(ExportSettings, skip={"notes"})
    options = parser.instantiate(parser.parse_args(list(args)))
    settings = ExportSettings(**{name: options[name] for name in {n.split(".")[0] for n in names}})
    data = None
    if options.notes:
        settings = replace(settings, notes=read_text(Path(options.notes)))
    checkpoint = find_checkpoint(options.checkpoint, run="run")
    if options.data:
        data = read_yaml(Path(options.data))
    manifest = export_bundle(checkpoint, Path(options.output), settings, data)
    print(summary(manifest))
    print(f"bundle: {options.output}")
