"""``fit``, ``validate`` and ``test``: a LightningCLI with what every run needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from smart_retail.callbacks.best_checkpoint import BestCheckpoint
from smart_retail.callbacks.ema import EMA
from smart_retail.callbacks.figures import Figures
from smart_retail.callbacks.finite import Finite
from smart_retail.callbacks.hyper_parameters import HyperParameters
from smart_retail.callbacks.last_checkpoint import LastCheckpoint
from smart_retail.callbacks.model_file import ModelFile
from smart_retail.callbacks.throughput import Throughput
from smart_retail.callbacks.unreadable import Unreadable
from smart_retail.config_files import guard_parsers
from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.pack import PackSettings, check_pack_place, write_pack
from smart_retail.data.summary import print_summary, write_contact_sheet
from smart_retail.errors import CheckpointError, ConfigError, one_line
from smart_retail.models.load import read_checkpoint
from smart_retail.runs import LOGS, find_checkpoint, keep_metrics, version_of
from smart_retail.training.checkpoint_file import CheckpointFile
from smart_retail.training.clock import NO_CLOCK
from smart_retail.training.distillation import Distillation
from smart_retail.training.module import FaceAttributeModule
from smart_retail.training.quiet import quiet

# Short names in YAML: importing the sources lets `class_path: UTKFace` do.
import smart_retail.data.sources  # noqa: F401, isort: skip


TERMINATED = 128 + 15
"""Exit code after SIGTERM, as shells count."""
BASE = Path(__file__).parents[2] / "configs" / "base.yaml"  # of the checkout; an installed package has none
# With exit_on_error a typo would print the whole usage; cli.main prints one line instead. With allow_abbrev
# it might be taken for another setting that begins like it.
STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
PARSER: dict[str, Any] = {"default_config_files": [str(BASE), "configs/base.yaml"], **STRICT}


class FaceCLI(LightningCLI):
    """Adds the run's name, its folder, averaging, checkpoints and provenance.

    What must run in every training is added here: a list of callbacks in a later config would
    replace one in an earlier config.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare what a config can set beside model, data and trainer."""
        parser.add_argument("--run", default="run", help="name of the run: lightning_logs/<run>/version_N")
        parser.add_argument("--threads", type=int | None, help="threads of the training step on a CPU")
        parser.add_lightning_class_args(EMA, "ema")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(Figures, "figures")
        parser.link_arguments("data.image_size", "model.image_size")
        parser.link_arguments("data.crop", "model.crop")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and find the checkpoint that ``--ckpt_path`` means."""
        super().parse_arguments(parser, args)
        config = self.config.get(self.config.get("subcommand"), self.config)
        self.checkpoint = None
        if self.config.get("subcommand") in ("validate", "test") and not config.get("ckpt_path"):
            raise CheckpointError("nothing to measure: give --ckpt_path best, or the path of a checkpoint")
        if (
            self.config.get("subcommand") == "fit"
            and config.model.schedule_by == "time"
            and not config.trainer.max_time
        ):
            raise ConfigError(NO_CLOCK)  # before a run's folder is touched
        if config.get("threads") is not None and config.threads < 1:
            raise ConfigError(f"--threads {config.threads} must be 1 or more")
        if config.get("ckpt_path"):
            self.checkpoint = find_checkpoint(str(config.ckpt_path), config.run, logs_of(config.trainer))
            config.ckpt_path = str(self.checkpoint)
            content = read_checkpoint(self.checkpoint)
            if not {"state_dict", "pytorch-lightning_version"} <= set(content):
                raise CheckpointError(
                    f"--ckpt_path {self.checkpoint}: no checkpoint of a training; they lie in <run>/checkpoints"
                )
            if content.get("contract"):
                # A network goes on to be fed as it was.
                crop, given = Contract.from_dict(content["contract"]).crop, config.data.crop
                if crop != given:
                    print(f"note: data.crop is {crop!r}, from the checkpoint, not {given!r}", file=sys.stderr)
                config.data.crop = config.model.crop = crop
            _tell_overridden(config.model, content.get("hyper_parameters", {}))

    def before_instantiate_classes(self) -> None:
        """Do not fetch weights that a checkpoint's would replace."""
        if self.checkpoint is not None:
            model = self._get(self.config, "model")
            if model["distillation"] is None:  # from a checkpoint of before it had settings of its own
                model["distillation"] = Namespace(asdict(Distillation()))
            model["pretrained"], model["weights"] = False, None
            if self.subcommand != "fit":
                model["teachers"] = None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add loggers (a resumed run goes on in its folder) and callbacks."""
        run = self._get(self.config, "run")
        threads = self._get(self.config, "threads")
        if threads:
            torch.set_num_threads(threads)
        fit = self.subcommand == "fit"
        # Before the user's: what fails at the end in one of those, as an export may, must not cost model.pth; and of
        # several checkpoints model.pth and the export take the first.
        first = [ModelFile(self.config_dump_of_run()), BestCheckpoint()]
        last = [Throughput(), HyperParameters(), Finite()]
        trainer_config = self._get(self.config_init, "trainer")
        logs = logs_of(trainer_config)
        if not fit:
            kwargs.setdefault("logger", False)
            self.save_config_callback = None  # it would write into the working directory
        elif trainer_config.get("logger") in (None, True):
            version = version_of(self.checkpoint, run, logs) if self.checkpoint else None
            if version:
                rank_zero_only(keep_metrics)(logs / run / version)
            board = TensorBoardLogger(str(logs), name=run, version=version, default_hp_metric=False)
            table = CSVLogger(str(logs), name=run, version=board.version, flush_logs_every_n_steps=50)
            kwargs.setdefault("logger", [board, table])
        callbacks = [*_listed(trainer_config.get("callbacks")), Unreadable()]
        kwargs.setdefault("callbacks", [*first, *callbacks, *last] if fit else callbacks)
        if fit:
            kwargs.setdefault("plugins", [*_listed(trainer_config.get("plugins")), CheckpointFile()])
        return super().instantiate_trainer(**kwargs)

    def config_dump_of_run(self) -> dict[str, Any]:
        """Return the config of the run as plain values."""
        self._dump_config()
        return dict(self.config_dump)


def _listed(value: Any) -> list[Any]:
    """Return callbacks or plugins as the Trainer takes them, several, one or none, as a list."""
    return [*value] if isinstance(value, (list, tuple)) else [] if value is None else [value]


def logs_of(trainer: Any) -> Path:
    """Return the folder of all runs: ``lightning_logs``, below ``trainer.default_root_dir`` if that is set."""
    return Path(trainer.get("default_root_dir") or ".") / LOGS


def _tell_overridden(model: Any, hyper_parameters: dict[str, Any]) -> None:
    """Say which settings of the command line give way to the checkpoint's (Lightning loads those)."""
    for name, value in hyper_parameters.items():
        ours = model[name].as_dict() if isinstance(model.get(name), Namespace) else model.get(name)
        if ours is not None and ours != value:
            print(f"note: model.{name} is {value!r}, from the checkpoint, not {ours!r}", file=sys.stderr)


def train(args: list[str]) -> None:
    """Run ``fit``, ``validate`` or ``test``; ``args`` begins with its name."""
    quiet()
    guard_parsers()
    try:
        FaceCLI(
            FaceAttributeModule,
            FaceDataModule,
            args=args,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"precision": "32-true"},
            parser_kwargs={name: dict(PARSER) for name in ("fit", "validate", "test")}
            | STRICT
            | {"prog": "smart-retail"},
        )
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None  # Lightning's own code is 0, as if the run had ended


def check_fit(command_lines: Mapping[str, Sequence[str]]) -> None:
    """Parse command lines of ``fit``, and make nothing.

    Args:
        command_lines: the words after ``smart-retail``, by what a message calls them.

    Raises:
        ConfigError: a setting is unknown, or its value is refused.
    """

    class Parser(FaceCLI):
        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            for name, words in command_lines.items():
                try:
                    super().parse_arguments(parser, list(words))
                except Exception as error:  # of ours, of jsonargparse, of a class that it made
                    raise ConfigError(f"{name}: {one_line(error, 500)}") from error
            raise StopIteration  # before anything is made

    quiet()
    guard_parsers()
    with suppress(StopIteration):
        Parser(FaceAttributeModule, FaceDataModule, parser_kwargs={"fit": dict(PARSER)} | STRICT)


class DataCLI(FaceCLI):
    """Reads the same configs as ``fit`` and makes the data only.

    The network is not made: its weights, its teachers or a connection may not be there.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare the contact sheet and the pack."""
        super().add_arguments_to_parser(parser)
        parser.add_argument("--sheet", type=str | None, help="write a picture of augmented crops to this .png or .jpg")
        parser.add_argument("--pack", type=str | None, help="write all faces into this folder, for another machine")
        usual = PackSettings()
        parser.add_argument("--pack_size", type=int, default=usual.size, help="side of a packed face in pixels")
        parser.add_argument("--pack_quality", type=int, default=usual.quality, help="of WebP, to 100; 101: no loss")
        parser.add_argument("--pack_mb", type=int, default=usual.megabytes, help="largest size of a file in MB")

    def instantiate_classes(self) -> None:
        """Make the data module."""
        no_network = (lambda *_, **__: None, FaceAttributeModule, False)
        self.config_init = self.parser.instantiate(self.config, instantiators=[no_network])
        self.datamodule = self._get(self.config_init, "data")


def show_data(args: list[str]) -> None:
    """Print what a config's data hold; write a contact sheet and a pack if asked."""
    cli = _data_cli(args, "data", "List the faces of a config: labels, duplicates, splits, what was left out.")
    data, config = cli.datamodule, cli.config
    settings = PackSettings(config.pack_size, config.pack_quality, config.pack_mb)
    if config.pack:
        check_pack_place(Path(config.pack))  # before an hour of hashing
    console = Console()
    print_summary(data.index, console)
    if sheet := config.sheet:
        write_contact_sheet(data.dataset("train"), data.index.datasets, Path(sheet), size=max(96, data.image_size))
        console.print(f"contact sheet: {sheet}")
    if config.pack:
        done = write_pack(data.index, Path(config.pack), settings, augmentation=data.augmentation)
        console.print(
            f"pack: {config.pack}, {done.faces:,} faces, {done.size / 1e6:,.1f} MB, written in {done.seconds:,.0f} s "
            f"({done.faces / done.seconds:,.0f} images a second)\n"
            f"use it with --config configs/data/packed.yaml --data.sources.init_args.root {config.pack}",
            soft_wrap=True,
            markup=False,
        )


def read_data(args: list[str], command: str, description: str) -> FaceDataModule:
    """Return the data module that a config describes."""
    data: FaceDataModule = _data_cli(args, command, description).datamodule
    return data


def read_settings(args: list[str], command: str, description: str) -> tuple[FaceDataModule, dict[str, Any]]:
    """Return the data module that a config describes, and the whole config as plain values."""
    cli = _data_cli(args, command, description)
    return cli.datamodule, cli.config.as_dict()


def _data_cli(args: list[str], command: str, description: str) -> DataCLI:
    quiet()
    guard_parsers()
    return DataCLI(
        FaceAttributeModule,
        FaceDataModule,
        args=args,
        run=False,
        seed_everything_default=0,
        save_config_callback=None,
        parser_kwargs=PARSER | {"prog": f"smart-retail {command}", "description": description},
    )
