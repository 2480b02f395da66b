"""The command line: ``smart-retail`` (also ``python -m smart_retail``)."""

from __future__ import annotations

import os
import re
import select
import sys
from argparse import ArgumentError
from collections.abc import Iterator

from smart_retail import __version__
from smart_retail.config_files import check_config_files
from smart_retail.errors import SmartRetailError, printable

HELP = """usage: smart-retail COMMAND [OPTIONS]

Gender, age and emotion of faces: from messy, partly labelled data to a small network.

commands:
  data       list the faces of a config: labels, duplicates, splits, what was left out
  fit        train            smart-retail fit --config configs/experiment/demo.yaml
  validate   measure on the validation faces
  test       measure on the test faces   smart-retail test --config ... --ckpt_path best
  evaluate   a report of one network or several   smart-retail evaluate bundle --output report
  soften     let a teacher judge every training face, for distillation
  replay     the step at which a training diverged, once more and under a lens
  reproduce  run a training again and compare the numbers
  sweep      try configurations and rank them   smart-retail sweep --config configs/sweep/demo.yaml
  export     write a bundle      smart-retail export --checkpoint .../best.ckpt --output bundle
  weights    write a trained network as one small file to hand on or to start from
  predict    judge face crops    smart-retail predict faces/*.jpg
  detect     find the faces in photos: adds landmarks to a table of your own
  verify     recheck a bundle
  benchmark  images a second of the training step and of the loader; benchmark bundle: of a bundle

smart-retail COMMAND --help tells the options of each; --version the version; configs/ holds commented examples.
"""
TRAINING = ("fit", "validate", "test")
INTERRUPTED = 130
CLOSED = 141
"""As of a program that SIGPIPE ends."""
LINES, WIDTH = 16, 600
"""Most that is shown of a message."""


def main(args: list[str] | None = None) -> int:
    """Run one command.

    Args:
        args: the words after the program's name; None for those of the process.

    Returns:
        Exit code: 0, 2 for what the user can put right, 130 after Ctrl-C, 141 where nobody reads on.
    """
    args = sys.argv[1:] if args is None else args
    if not args or args[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if args[0] == "--version":
        print(f"smart-retail {__version__}")
        return 0
    try:
        code = _run(args[0], args[1:])
        sys.stdout.flush()  # here, where a closed pipe is caught
        return code
    except SmartRetailError as error:
        print(f"error: {_message(error)}", file=sys.stderr)
        return 2
    except ArgumentError as error:
        way_out = f"smart-retail {args[0]} --help lists the settings"
        if re.search(r"required: (\w+\.)?data\.sources$", str(error)):  # required and nowhere given
            way_out = "no --config names the data; to begin with: --config configs/experiment/demo.yaml"
        print(f"error: {_fit(str(error))}\n{way_out}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return CLOSED
        print(f"error: {_fit(str(error))}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "smart_retail").startswith("smart_retail"):
            raise
        print(
            f"error: {args[0]} needs {error.name}, which is not installed: pip install 'smart_retail[train]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        # Lightning turns Ctrl-C into exit code 1.
        if isinstance(end.__context__, KeyboardInterrupt):
            return INTERRUPTED
        raise
    except Exception as error:
        # torch tells of a dead worker wherever the main process is, and a library there may wrap what it says.
        if not (message := next(filter(None, map(_known, _causes(error))), "")):
            raise
        print(f"error: {_fit(message)}", file=sys.stderr)
        return 2


def _nobody_reads() -> bool:
    """Whether stdout is a pipe that was closed, as by ``| head``; what is still to be printed goes nowhere then."""
    # Not by another flush: that has nothing left to write, since the failed one may have dropped it.
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _known(error: BaseException) -> str:
    """Return what to say of a library's error that a user can put right; empty for any other."""
    text = str(error)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's own word for a setting
        return text
    if isinstance(error, ValueError) and "Problem with given class_path" in text:
        return text  # jsonargparse's, of a class that it imported and could not make
    if re.match(r"DataLoader worker \(pid.*\) (is killed|exited)", text):
        return (
            f"a process that loads images was killed, most likely for want of memory ({text.splitlines()[0]}); free "
            "some, or lower data.workers, and go on with --ckpt_path last"
        )
    if "Connection closed by peer" in text or "Connection reset by peer" in text:  # gloo's words
        return "another process of this training has ended; its own message says why. Go on with --ckpt_path last"
    return ""


def _message(error: SmartRetailError) -> str:
    """Return the message without the traceback that a loader's worker puts in front of it."""
    text = str(error).strip()
    if "Original Traceback" in text:
        text = text.splitlines()[-1].partition("Error: ")[2]
    return _fit(text)


def _fit(text: str) -> str:
    """Return a message that fits a terminal: values in it may be endless, or hold what steers one."""
    lines = [printable(line) for line in text.strip().split("\n")[:LINES]]
    return "\n".join(line if len(line) <= WIDTH else f"{line[:WIDTH]} ..." for line in lines)


def _run(command: str, args: list[str]) -> int:
    # Imports wait until a command needs them: help and typos answer at once.
    # Read when torch loads its OpenMP runtime: two spinning threads on two cores slow each other.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    check_config_files(args)
    if command in TRAINING:
        from smart_retail.training.cli import train

        train([command, *args])
    elif command == "data":
        from smart_retail.training.cli import show_data

        show_data(args)
    elif command == "benchmark" and args[:1] == ["bundle"]:
        from smart_retail.export.benchmark_command import benchmark_bundle

        benchmark_bundle(args[1:])
    elif command == "benchmark":
        from smart_retail.training.benchmark import run

        run(args)
    elif command == "sweep":
        from smart_retail.sweep.command import sweep

        sweep(args)
    elif command == "export":
        from smart_retail.export.export_command import export

        export(args)
    elif command == "evaluate":
        from smart_retail.evaluation.command import evaluate

        evaluate(args)
    elif command == "soften":
        from smart_retail.training.soften import soften

        soften(args)
    elif command == "replay":
        from smart_retail.training.replay import replay

        replay(args)
    elif command == "reproduce":
        from smart_retail.training.reproduce import reproduce

        reproduce(args)
    elif command == "weights":
        from smart_retail.export.weights_command import weights

        weights(args)
    elif command == "detect":
        from smart_retail.edge.detect_command import detect

        detect(args)
    elif command in ("predict", "verify"):
        from smart_retail.edge import predict_command

        {"predict": predict_command.predict, "verify": predict_command.verify_bundle}[command](args)
    else:
        print(f"error: no command {command!r}; smart-retail --help lists them", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
