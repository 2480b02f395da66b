"""What runs ``fit``, ``validate`` and ``test``: a LightningCLI with what every run needs."""

from __future__ import annotations

import sys
from argparse import SUPPRESS
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.trainer import Trainer
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from smart_retail.arguments import OWN_MODULES, STRICT, Help, as_list, check_above, reading
from smart_retail.callbacks.best_checkpoint import BestCheckpoint
from smart_retail.callbacks.checkpoint_file import CheckpointFile
from smart_retail.callbacks.clock import NO_CLOCK
from smart_retail.callbacks.doubts import Doubts
from smart_retail.callbacks.ema import EMA
from smart_retail.callbacks.epoch_table import EpochTable, LossBar
from smart_retail.callbacks.figures import Figures
from smart_retail.callbacks.finite import Finite
from smart_retail.callbacks.hyper_parameters import HyperParameters
from smart_retail.callbacks.last_checkpoint import LastCheckpoint
from smart_retail.callbacks.metrics_table import MetricsTable
from smart_retail.callbacks.model_file import ModelFile
from smart_retail.callbacks.throughput import Throughput
from smart_retail.callbacks.unreadable import Unreadable
from smart_retail.config_files import find_data, found_again, guard_parsers, recorded_folder
from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.errors import CheckpointError, ConfigError, one_line
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.named_configs import CONFIGS, find_configs
from smart_retail.own_code import check_module, import_own, own_class, own_modules
from smart_retail.runs import LOGS, claim_version, drop_if_empty, find_checkpoint, training_folders, version_of
from smart_retail.training.distillation import Distillation
from smart_retail.training.module import FaceAttributeModule
from smart_retail.training.outcome import go_on_command, what_next
from smart_retail.training.quiet import quiet

# Short names in YAML: importing the sources lets `class_path: UTKFace` do.
import smart_retail.data.sources  # noqa: F401, isort: skip


TERMINATED = 128 + 15
"""Exit code after SIGTERM, as shells count."""
PARSER: dict[str, Any] = {
    "default_config_files": [str(CONFIGS / "base.yaml"), "configs/base.yaml"],
    "formatter_class": Help,
    **STRICT,
}
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16")
RENAMED = (("model", "weights", "init_weights"), ("data", "soft_labels", "soft_targets"))
"""Settings that earlier versions called otherwise; old checkpoints and configs still do."""
NO_SOURCES = "no source of faces: set data.sources; to begin with: --config configs/experiment/demo.yaml"


class FaceCLI(LightningCLI):
    """Adds the run's name, its folder, averaging, checkpoints and provenance.

    What must run in every training is added here: a list of callbacks in a later config would
    replace one in an earlier config.
    """

    def __init__(self, command: str, words: Sequence[str]) -> None:
        """Run ``fit``, ``validate`` or ``test``; ``words`` are those after it."""
        skipped = super().subcommands()[command]
        self.subcommands = lambda: {command: skipped}  # type: ignore[method-assign] # each costs a second to describe
        self.words, self.claimed = words, Path()
        try:
            super().__init__(
                own_class(words, "module", FaceAttributeModule),
                FaceDataModule,
                args=[command, *words],
                seed_everything_default=0,
                save_config_kwargs={"overwrite": True},
                trainer_defaults={"precision": "32-true"},
                parser_kwargs={command: dict(PARSER), "prog": "smart-retail", "formatter_class": Help, **STRICT},
            )
        finally:
            if self.claimed.name:
                drop_if_empty(self.claimed, logs_of(self._get(self.config, "trainer")))

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare what a config can set beside model, data and trainer."""
        parser.add_argument("--run", default="run", help="name of the run: lightning_logs/<run>/version_N")
        parser.add_argument("--imports", type=OWN_MODULES, help="modules of your own to import")
        parser.add_argument("--module", type=str | None, help="your own subclass of FaceAttributeModule")
        parser.add_argument("--threads", type=int | None, help="threads of the training step on a CPU")
        parser.add_lightning_class_args(EMA, "ema")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        parser.add_lightning_class_args(Figures, "figures")
        for section, old, _ in RENAMED:
            parser.add_argument(f"--{section}.{old}", type=str | None, default=SUPPRESS, help=SUPPRESS)
        parser.link_arguments("data.tasks", "model.tasks")
        parser.link_arguments("data.image_size", "model.image_size")
        parser.link_arguments("data.crop", "model.crop")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and find the checkpoint that ``--ckpt_path`` means."""
        command, words = args[0], args[1:]
        own = self._subcommand_parsers[command]
        if {"-h", "--help"} & {*words}:
            own._action_groups = [g for g in own._action_groups if any(_is_lightnings(a) for a in g._group_actions)]
            own.usage = f"smart-retail {command} --trainer.SETTING VALUE ..."
        with reading(own, words):
            super().parse_arguments(parser, args)
        config = self.config[command]
        config.imports = own_modules(words) or None  # of all configs: in later ones they would replace the earlier
        self.checkpoint = None
        if not config.data.sources:
            raise ConfigError(NO_SOURCES)
        if command != "fit" and not config.get("ckpt_path"):
            raise CheckpointError("nothing to measure: give --ckpt_path best, or the path of a checkpoint")
        if command == "fit" and config.model.schedule_by == "time" and not config.trainer.max_time:
            raise ConfigError(NO_CLOCK)  # before a run's folder is touched
        if (precision := str(config.trainer.get("precision") or PRECISIONS[0])) not in PRECISIONS:
            raise ConfigError(
                f"trainer.precision {precision} is not for this training: {', '.join(PRECISIONS[:3])} are"
            )
        check_above(1, threads=config.threads)
        places: list[Path] = []
        if config.get("ckpt_path"):
            self.checkpoint = find_checkpoint(str(config.ckpt_path), config.run, logs_of(config.trainer))
            config.ckpt_path = str(self.checkpoint)
            content = read_checkpoint(self.checkpoint)
            if not {"state_dict", "pytorch-lightning_version"} <= set(content):
                raise CheckpointError(
                    f"--ckpt_path {self.checkpoint}: no checkpoint of a training; they lie in <run>/checkpoints"
                )
            check_module(content.get("made_by"), config.module, str(self.checkpoint))
            places = [*training_folders(self.checkpoint), *recorded_folder(content.get("made_by"))]
            learnt = content.get("hyper_parameters", {})
            # A network goes on to be fed as it was, and is asked what it has learnt.
            theirs = {"tasks": learnt.get("tasks")} if learnt else {}
            if content.get("contract"):
                theirs["crop"] = Contract.from_dict(content["contract"]).crop
            for name, value in theirs.items():
                if (given := config.data[name]) != value:
                    print(f"note: data.{name} is {value!r}, from the checkpoint, not {given!r}", file=sys.stderr)
                config.data[name] = config.model[name] = value
            _tell_overridden(config.model, learnt)
        self.find_data(config, places)

    def find_data(self, config: Namespace, places: Sequence[Path]) -> None:
        """Find files that are not below this directory: where the network was trained, or where a config lies."""
        for section, old, new in RENAMED:
            config[section][new] = config[section].pop(old, None) or config[section][new]
        files = [Path(str(path)).absolute() for path in config.get("config") or []]
        places = [*places, *(p for f in files for p in (*training_folders(f), f.parent))]
        find_data(config.data.sources, places)
        for section, name in (
            (config.data, "soft_targets"),
            (config.model, "init_weights"),
            (config.model, "teachers"),
        ):
            section[name] = found_again(section[name], places)

    def before_instantiate_classes(self) -> None:
        """Do not fetch weights that a checkpoint's would replace."""
        model = self._get(self.config, "model")
        model["init_weights"] = model.pop("weights", None) or model["init_weights"]  # of an old checkpoint
        if self.checkpoint is not None:
            if model["distillation"] is None:  # from a checkpoint of before it had settings of its own
                model["distillation"] = Namespace(asdict(Distillation()))
            model["pretrained"], model["init_weights"] = False, None
            if self.subcommand != "fit":
                model["teachers"] = None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Add loggers, callbacks and a progress bar."""
        run = self._get(self.config, "run")
        threads = self._get(self.config, "threads")
        if threads:
            torch.set_num_threads(threads)
        fit = self.subcommand == "fit"
        trainer = self._get(self.config_init, "trainer")
        callbacks = [*as_list(trainer.get("callbacks")), Unreadable()]
        if not fit:
            kwargs.setdefault("logger", False)
            self.save_config_callback = None  # it would write into the working directory
        else:
            folder = self.run_folder(run, trainer)
            kwargs.setdefault("logger", self.loggers(folder, run, trainer))
            go_on = go_on_command(self.words, folder / "checkpoints" / "last.ckpt")
            self.table = EpochTable(go_on)
            # Before the user's: what fails at the end in one of those, as an export may, must not cost model.pth; and
            # of several checkpoints model.pth and the export take the first.
            callbacks = [ModelFile(self.config_dump_of_run()), BestCheckpoint(), *callbacks, Throughput()]
            callbacks += [HyperParameters(), Doubts(), self.table, Finite()]
            kwargs.setdefault("plugins", [*as_list(trainer.get("plugins")), CheckpointFile()])
        if not any(isinstance(callback, ProgressBar) for callback in callbacks) and not trainer.get("barebones"):
            shown = trainer.get("enable_progress_bar")
            kwargs["enable_progress_bar"] = shown = sys.stdout.isatty() if shown is None else shown
            callbacks += [LossBar()] * shown
        if trainer.get("enable_model_summary") is None and not trainer.get("barebones"):
            kwargs["enable_model_summary"] = False  # it knows the names of our modules
        kwargs.setdefault("callbacks", callbacks)
        return super().instantiate_trainer(**kwargs)

    def run_folder(self, run: str, trainer: Any) -> Path:
        """Return ``version_N``: a resumed run's own, or a new one, which rank 0 makes and the others learn of it."""
        logs = logs_of(trainer)
        if self.checkpoint and (version := version_of(self.checkpoint, run, logs)):
            return logs / run / version
        if trainer.get("fast_dev_run") or getattr(rank_zero_only, "rank", 0):
            return logs / run / "version_0"  # nothing is written there
        self.claimed = claim_version(logs / run)
        return self.claimed

    def loggers(self, folder: Path, run: str, trainer: Any) -> list[Logger]:
        """Return ``metrics.csv``, TensorBoard and what the config names; the first one's folder is the run's."""
        logs, given = logs_of(trainer), trainer.get("logger")
        theirs = [] if isinstance(given, bool) else as_list(given)
        resumed_at = read_checkpoint(self.checkpoint).get("global_step") if self.checkpoint else None
        ours: list[Logger] = [MetricsTable(logs, run, folder.name, resumed_at)]
        if given is not False and not any(isinstance(logger, TensorBoardLogger) for logger in theirs):
            ours.append(TensorBoardLogger(str(logs), run, folder.name, default_hp_metric=False))
        return [*ours, *theirs]

    def config_dump_of_run(self) -> dict[str, Any]:
        """Return the config of the run as plain values."""
        self._dump_config()
        return dict(self.config_dump)


def logs_of(trainer: Any) -> Path:
    """Return the folder of all runs: ``lightning_logs``, below ``trainer.default_root_dir`` if that is set."""
    return Path(trainer.get("default_root_dir") or ".") / LOGS


def _tell_overridden(model: Any, hyper_parameters: dict[str, Any]) -> None:
    """Say which settings of the command line give way to the checkpoint's (Lightning loads those)."""
    for name, value in hyper_parameters.items():
        ours = model[name].as_dict() if isinstance(model.get(name), Namespace) else model.get(name)
        if ours is not None and ours != value:
            print(f"note: model.{name} is {value!r}, from the checkpoint, not {ours!r}", file=sys.stderr)


def _is_lightnings(action: Any) -> bool:
    """Whether an option is of the trainer, or of what Lightning has beside it."""
    return action.dest.partition(".")[0] in ("trainer", "optimizer", "lr_scheduler")


def train(command: str, words: Sequence[str]) -> None:
    """Run ``fit``, ``validate`` or ``test``; ``words`` are those after it."""
    quiet()
    guard_parsers()
    try:
        cli = FaceCLI(command, words)
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None  # Lightning's own code is 0, as if the run had ended
    # Not trainer.log_dir: that asks rank 0, and every rank must.
    if command == "fit" and cli.trainer.is_global_zero and isinstance(table := cli.trainer.logger, MetricsTable):
        print(what_next(Path(table.log_dir), words, cli.table.go_on * cli.table.unfinished, own_modules(words)))


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
    command_lines = {name: find_configs(words) for name, words in command_lines.items()}
    for words in command_lines.values():
        import_own(words)
    with suppress(StopIteration):
        Parser("fit", next(iter(command_lines.values()), ()))
