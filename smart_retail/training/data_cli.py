"""What a config of ``fit`` says of the data, for commands that train nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from smart_retail.arguments import check_above, command_parser, parse, positionals_first, reading
from smart_retail.config_files import guard_parsers
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.errors import ConfigError
from smart_retail.own_code import own_class
from smart_retail.training.cli import NO_SOURCES, PARSER, FaceCLI
from smart_retail.training.module import FaceAttributeModule
from smart_retail.training.quiet import quiet

Options = Callable[[ArgumentParser], None]
SETTINGS = "Settings of fit may follow: --config FILE, --data.limit_eval 500; smart-retail fit --help data lists them."


class DataCLI(FaceCLI):
    """Reads the same configs as ``fit``; the network is not made: its weights or its teachers may not be there."""

    def __init__(self, command: str, words: Sequence[str], description: str, add_options: Options) -> None:
        """Parse the words after a command, which are options of its own and settings of ``fit``."""
        self.add_options = add_options
        LightningCLI.__init__(
            self,
            own_class(words, "module", FaceAttributeModule),
            FaceDataModule,
            args=list(words),
            run=False,
            seed_everything_default=0,
            save_config_callback=None,
            parser_kwargs=PARSER | {"prog": f"smart-retail {command}", "description": description},
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Declare the command's own options beside the settings."""
        super().add_arguments_to_parser(parser)
        self.add_options(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse."""
        self.checkpoint = None
        with reading(parser, args):
            LightningCLI.parse_arguments(self, parser, positionals_first(parser, args))
        check_above(1, threads=self.config.threads)
        self.find_data(self.config, [])

    def instantiate_classes(self) -> None:
        """Make nothing yet."""

    def data(self) -> FaceDataModule:
        """Make the data module.

        Raises:
            ConfigError: no config names the data.
        """
        if not self.config.data.sources:
            raise ConfigError(NO_SOURCES)
        no_network = (lambda *_, **__: None, FaceAttributeModule, True)
        made: FaceDataModule = self.parser.instantiate(self.config, instantiators=[no_network]).data
        return made


def parse_data(
    words: Sequence[str], command: str, description: str, add_options: Options = lambda parser: None
) -> DataCLI:
    """Return what the words after a command say; ``--help`` shows its own options alone."""
    if {"-h", "--help"} & {*words}:
        parser = command_parser(command, description, imports=True, epilog=SETTINGS)
        add_options(parser)
        parse(parser, ["--help"])
    quiet()
    guard_parsers()
    return DataCLI(command, words, description, add_options)


def read_data(words: Sequence[str]) -> FaceDataModule:
    """Return the data module that settings of ``fit`` describe."""
    return parse_data(words, "data", "").data()
