"""``smart-retail evaluate``: predictions of labelled faces, and a report of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser

from smart_retail.arguments import check_above, command_parser, parse
from smart_retail.errors import ConfigError

USAGE = "smart-retail evaluate MODEL [MODEL ...] --output FOLDER [options] [--config FILE ...]"
DESCRIPTION = """\
Judge one network, or several side by side, on labelled faces. MODEL is

  a checkpoint     lightning_logs/cpu/version_0/checkpoints/best.ckpt, a run's folder,
                   model.pth or a .safetensors file
  a bundle         its folder; judged through the same code as on the device
  predictions      .parquet that this command wrote, or anyone's .csv (below)

The first is reported in full, the others are compared with it on the same faces (paired
intervals, McNemar's test). NAME=MODEL gives a model another name in the tables.

Written to --output: report.html (open it in a browser), report.md, figures.csv,
predictions*.parquet (a row for every face; given as MODEL, they make the report again
without network and images), comparison.csv and robustness.csv where there are any.
All intervals are 95% and resample clusters of duplicates."""
EPILOG = """\
Any setting of the data may follow, as for fit: --config FILE, --data.limit_eval 500. Without data.sources
the faces are those of the first model's own training.

A CSV needs a column key (the name of a face in predictions.parquet) and any of age_pred,
gender_pred, emotion_pred (names of classes), or probabilities p_gender_male, p_gender_female,
p_emotion_angry, ... Labels and data sets are taken from the first model, or from its own
columns gender, age, emotion, dataset, race, cluster.

examples:
  smart-retail evaluate lightning_logs/cpu/version_0 --output report
  smart-retail evaluate bundle --precision both --config configs/experiment/cpu.yaml --output report
  smart-retail evaluate student=bundle teacher=teacher.safetensors --robustness --output report
  smart-retail evaluate report/predictions.parquet somebody.csv --output again"""


def evaluate(args: Sequence[str]) -> None:
    """Evaluate; ``args`` are those after ``evaluate``.

    Raises:
        ConfigError: options do not fit together.
    """
    if {"-h", "--help"} & {*args}:  # before torch is imported
        parser = command_parser("evaluate", DESCRIPTION, imports=True, epilog=EPILOG, usage=USAGE)
        add_options(parser)
        parse(parser, ["--help"])
    from smart_retail.evaluation.networks import model_specs
    from smart_retail.evaluation.run import evaluate_all, write_report
    from smart_retail.training.data_cli import parse_data

    cli = parse_data(args, "evaluate", DESCRIPTION, add_options)
    options = cli.config
    models = model_specs(options.models)
    check_above(1, robustness=options.robustness)
    if options.kinds and not options.robustness:
        raise ConfigError("--kinds chooses among what --robustness does: give that too")
    if all(model.is_table for model in models):
        given = {"config": options.config or options.data.sources, "data.limit_eval": options.data.limit_eval}
        given |= {name: options[name] for name in ("robustness", "thumbnails")}
        if needless := [name for name, value in given.items() if value]:
            raise ConfigError(f"--{needless[0]} needs a network beside the predictions: they hold no faces")
    write_report(evaluate_all(models, cli), options.output)


def add_options(parser: ArgumentParser) -> None:
    """Declare the command's own options."""
    parser.add_argument(
        "models", nargs="+", type=str, metavar="MODEL", help="checkpoint, bundle or predictions; or NAME=..."
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the report")
    parser.add_argument(
        "--split", type=Literal["test", "val"], default="test", help="faces to judge; val while you still choose"
    )
    parser.add_argument(
        "--precision", type=Literal["fp32", "int8", "both"], help="of bundles; INT8 where it is there unless named"
    )
    parser.add_argument(
        "--robustness",
        type=int,
        nargs="?",
        const=500,
        metavar="FACES",
        help="also judge so many faces (500 without a number) as a camera would have them: turned, covered, in less "
        "light, blurred, small and worse in other ways, each at four severities: 65 times the work for each",
    )
    parser.add_argument(
        "--kinds",
        type=str | list[str],
        help="with --robustness, only some of: off centre, turned, perspective, covered, masked, sunglasses, colour "
        "cast, grey, dark, motion, blurred, small, low light, noise, JPEG, cut; several as '[turned, low light]'",
    )
    parser.add_argument(
        "--thumbnails", type=bool, default=False, help="show the worst mistakes: they are pictures of people"
    )
