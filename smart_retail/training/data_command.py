"""``smart-retail data``: what the data of a config hold, a contact sheet of them, and a pack for another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console

from smart_retail.arguments import next_steps
from smart_retail.data.face_list import write_face_list
from smart_retail.data.pack import PackSettings, check_pack_place, write_pack
from smart_retail.data.summary import print_summary
from smart_retail.errors import ConfigError
from smart_retail.sheet import write_contact_sheet
from smart_retail.training.data_cli import parse_data


def data(words: Sequence[str]) -> None:
    """Print what a config's data hold; write a contact sheet and a pack if asked."""
    description = "List the faces of a config: labels, duplicates, splits, what was left out."
    cli = parse_data(words, "data", description, _add_options)
    config, faces = cli.config, cli.data()
    settings = PackSettings(config.pack_size, config.pack_quality, config.pack_mb)
    if config.pack:
        check_pack_place(config.pack)  # before an hour of hashing
    if config.list and config.list.suffix.lower() != ".csv":
        raise ConfigError(f"--list {config.list}: its name ends in .csv")
    console = Console()
    print_summary(faces.index, console)
    if silent := faces.unlabelled_tasks():
        without = " ".join(f"--model.task_weights.{task}=0" for task in silent)
        told = f"note: no training face has a label for {', '.join(silent)}: fit needs {without}, or a teacher"
        console.print(told, soft_wrap=True, markup=False)
    if config.list:
        write_face_list(faces.index, config.list)
        console.print(f"list of faces: {config.list}")
    if config.sheet:
        write_contact_sheet(faces.dataset("train"), faces.index.datasets, config.sheet, size=max(96, faces.image_size))
        console.print(f"contact sheet: {config.sheet}")
    if config.pack:
        done = write_pack(faces.index, config.pack, settings, augmentation=faces.augmentation)
        packed = f"--config configs/data/packed.yaml --data.sources.init_args.root {config.pack}"
        console.print(
            f"pack: {config.pack}, {done.faces:,} faces, {done.size / 1e6:,.1f} MB, written in {done.seconds:,.0f} s "
            f"({done.faces / done.seconds:,.0f} images a second)\n" + next_steps(f"fit --config ... {packed}"),
            soft_wrap=True,
            markup=False,
        )


def _add_options(parser: ArgumentParser) -> None:
    usual = PackSettings()
    parser.add_argument(
        "--list",
        type=Path,
        help="write a row for every face into this .csv: its split, why it is left out, its duplicates, and whether "
        "their labels contradict it (these come first)",
    )
    parser.add_argument("--sheet", type=Path, help="draw faces, their labels and crops into this .png or .jpg")
    parser.add_argument("--pack", type=Path, help="write all faces into this folder, for another machine")
    parser.add_argument("--pack_size", type=int, default=usual.size, help="side of a packed face in pixels")
    parser.add_argument("--pack_quality", type=int, default=usual.quality, help="of WebP, to 100; 101: no loss")
    parser.add_argument("--pack_mb", type=int, default=usual.megabytes, help="largest size of a file in MB")
