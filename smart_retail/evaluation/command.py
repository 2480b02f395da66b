"""``smart-retail evaluate``: what networks say of labelled faces, and a report of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smart_retail.errors import ConfigError

TABLES = (".parquet", ".csv")
DESCRIPTION = """\
Judge one network, or several side by side, on labelled faces. MODEL is

  a checkpoint     lightning_logs/cpu/version_0/checkpoints/best.ckpt, a run's folder,
                   model.pth or a .safetensors file
  a bundle         its folder; judged through the same code as on the device
  predictions      .parquet that this command wrote, or anyone's .csv (below)

The first is reported in full, the others are compared with it on the same faces (paired
intervals, McNemar's test). NAME=MODEL gives a model another name in the tables.

Written to --output: report.html (open it in a browser), report.md, figures.csv,
predictions*.parquet (what was said of every face; --from makes the report again
without network and images), comparison.csv and robustness.csv where there are any.
All intervals are 95% and resample clusters of duplicates."""
EPILOG = """\
Whatever else is given is a setting of the data, as for fit: --config FILE, --data.limit_eval 500.
Without any, the data are those of the first model's own training.

A CSV needs a column key (the name of a face in predictions.parquet) and any of age_pred,
gender_pred, emotion_pred (names of classes), or probabilities p_gender_male, p_gender_female,
p_emotion_angry, ... Labels and data sets are taken from the first model, or from its own
columns gender, age, emotion, dataset, race, cluster.

examples:
  smart-retail evaluate lightning_logs/cpu/version_0 --output report
  smart-retail evaluate bundle --precision both --config configs/experiment/cpu.yaml --output report
  smart-retail evaluate student=bundle teacher=teacher.safetensors --robustness --output report
  smart-retail evaluate --from report/predictions.parquet somebody.csv --output again"""


@dataclass(frozen=True)
class Asked:
    """One MODEL of the command line."""

    name: str
    path: Path
    named: bool = False
    """Whether the name was given, not made."""

    @property
    def is_table(self) -> bool:
        """Whether it holds predictions."""
        return self.path.suffix.lower() in TABLES


def evaluate(args: Sequence[str]) -> None:
    """Evaluate; ``args`` are the words after ``evaluate``.

    Raises:
        ConfigError: no model is named, or options do not fit together.
    """
    parser = _parser()
    ours, settings = split_settings(args, set(parser._option_string_actions))
    options = parser.parse_intermixed_args(ours)
    asked = name_models([*options.model, *options.predictions])
    if not asked:
        raise ConfigError("name either a model or, with --from, predictions that were made before")
    if options.robustness is not None and options.robustness < 1:
        raise ConfigError(f"--robustness {options.robustness} must be 1 or more faces")
    if options.kinds and not options.robustness:
        raise ConfigError("--kinds chooses among what --robustness does: give that too")
    if all(a.is_table for a in asked):
        needless = [*settings[:1], *(f"--{n}" for n in ("robustness", "thumbnails") if getattr(options, n))]
        if needless:
            raise ConfigError(f"{needless[0]} needs a network beside the predictions: they hold no faces")
    # Here, not above: --help and mistakes answer at once.
    from smart_retail.evaluation.run import judge_all, write_report

    found = judge_all(asked, options, settings)
    write_report(found, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smart-retail evaluate",
        usage="smart-retail evaluate MODEL [MODEL ...] --output FOLDER [options] [--config FILE ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("model", nargs="*", metavar="MODEL", help="checkpoint, bundle or predictions; or NAME=...")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the report")
    parser.add_argument(
        "--from", dest="predictions", nargs="+", default=[], metavar="FILE", help="predictions that were made before"
    )
    parser.add_argument(
        "--split",
        choices=("test", "val"),
        default="test",
        help="faces to judge (default: test; val while you still choose)",
    )
    parser.add_argument(
        "--precision", choices=("fp32", "int8", "both"), help="of bundles (default: INT8 where it is there)"
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
        nargs="+",
        metavar="KIND",
        help='with --robustness, only some of: "off centre", turned, perspective, covered, masked, sunglasses, "colour '
        'cast", grey, dark, motion, blurred, small, "low light", noise, JPEG, cut',
    )
    parser.add_argument(
        "--thumbnails", action="store_true", help="show the worst mistakes: they are pictures of people"
    )
    return parser


def split_settings(args: Sequence[str], ours: set[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from settings of the data, ``--name value`` or ``--name=value``.

    Args:
        args: all words.
        ours: options of the command itself.
    """
    own: list[str] = []
    settings: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith("--") or word.partition("=")[0] in ours:
            own.append(word)
            continue
        settings.append(word)
        if "=" not in word:
            settings += [value for value in [next(words, None)] if value is not None]
    return own, settings


def name_models(words: Sequence[str]) -> list[Asked]:
    """Return the models with their names, each name once.

    Raises:
        ConfigError: two models are given one name.
    """
    found: list[Asked] = []
    for word in words:
        name, _, path = word.rpartition("=")
        if not name or Path(word).exists():
            name, path = "", word
        if name and any(a.name == name for a in found):
            raise ConfigError(f"two models are called {name}; give each a name of its own")
        found.append(Asked(name or _unique(_name_of(Path(path)), [a.name for a in found]), Path(path), bool(name)))
    return found


def _name_of(path: Path) -> str:
    """Return what tells a model apart: its file's name, and its run's where files are all called the same."""
    parts = [p for p in path.parts if p not in ("/", ".", "..", "checkpoints", "lightning_logs")]
    plain = path.stem if path.suffix in (*TABLES, ".ckpt", ".pth", ".safetensors") else path.name
    if plain in ("best", "last", "model", "predictions", "bundle") or plain.startswith("version_"):
        plain = "/".join([*parts[-3:-1], plain]) if parts[:-1] else plain
    return plain


def _unique(name: str, taken: Sequence[str]) -> str:
    number = 1 + sum(1 for other in taken if other == name or other.startswith(f"{name} ("))
    return name if number == 1 else f"{name} ({number})"
