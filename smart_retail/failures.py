"""What a user can put right, of all that a command can raise: a line or two and an exit code, no traceback."""

from __future__ import annotations

import os
import re
import select
import sys
from argparse import ArgumentError
from collections.abc import Iterator

from smart_retail.errors import SmartRetailError, printable

WRONG, INTERRUPTED, CLOSED = 2, 130, 141
"""Exit codes: what the user can put right; Ctrl-C; nobody reads on (as of a program that SIGPIPE ends)."""
INSTALL_TRAIN = "pip install 'smart_retail[train]'"
LINES, WIDTH = 16, 600
"""Most that is shown of a message."""


def exit_code(error: BaseException, command: str) -> int | None:
    """Print what is wrong and return the command's exit code; None where only a traceback helps."""
    # Lightning turns Ctrl-C into exit code 1.
    if isinstance(error.__context__ if isinstance(error, SystemExit) else error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return CLOSED
    if isinstance(error, SystemExit):
        return None
    message = _ours(error, command) or next(filter(None, map(_of_library, _causes(error))), "")
    if message:
        print(f"error: {fit_terminal(message)}", file=sys.stderr)
        if isinstance(error, ArgumentError):
            print(f"smart-retail {command} --help lists the settings", file=sys.stderr)
    return WRONG if message else None


def fit_terminal(text: str) -> str:
    """Return a message that fits a terminal: values in it may be endless, or hold what steers one."""
    lines = [printable(line) for line in text.strip().split("\n")[:LINES]]
    return "\n".join(line if len(line) <= WIDTH else f"{line[:WIDTH]} ..." for line in lines)


def _ours(error: BaseException, command: str) -> str:
    if isinstance(error, (SmartRetailError, ArgumentError, OSError)):
        return _of_a_value(_without_traceback(str(error))) or type(error).__name__
    if isinstance(error, ModuleNotFoundError) and not (error.name or "smart_retail").startswith("smart_retail"):
        return f"{command} needs {error.name}, which is not installed: {INSTALL_TRAIN}"
    return ""


def _of_a_value(text: str) -> str:
    """Return what jsonargparse says of a value of another type, in the terms of a command line; other text as it is."""
    found = WRONG_VALUE.fullmatch(text)
    if not found:
        return text
    setting, types, value = found.groups()
    names = [f"one of {some}" if some else TYPES.get(name, name) for some, name in re.findall(TYPE, types)]
    return f"--{setting} {value} must be {' or '.join(name for name in names if name != 'NoneType')}"


TYPE = r"typing\.Literal\[(.+)\]|<class '(\w+)'>"
TYPES = {
    "bool": "true or false",
    "dict": "a map ('{age: 2}')",
    "float": "a number",
    "int": "a whole number",
    "list": "a list ('[1, 2]')",
}
EXPECTED = r"Expected a (?:typing\.Literal\[.+\]|<class '\w+'>)"
WRONG_VALUE = re.compile(
    rf'Parser key "(\S+)":\s+(?:Does not validate .+\n.+\n\s+Errors:\s+- )?({EXPECTED}(?:\n\s+- {EXPECTED})*)'
    r"(?:\. Got|\n\s+Given value type: .+\n\s+Given) value: (.*)"
)
"""As jsonargparse 4.53 has it; what another version words otherwise is shown in its words."""


def _of_library(error: BaseException) -> str:
    """Return what to say of a library's error that a user can put right; empty for any other."""
    text = str(error)
    if type(error).__name__ == "MisconfigurationException":  # Lightning's own word for a setting
        return text
    if isinstance(error, ValueError) and _raised_in(error) == "jsonargparse":  # of a class that it could not make
        return text
    by_prose = (told for pattern, told in BY_PROSE if isinstance(error, RuntimeError) and pattern.search(text))
    return next((told.format(text.splitlines()[0]) for told in by_prose), "")


BY_PROSE = (
    (re.compile(r"^Could not determine home directory"), "{} Set HOME, or write the path without ~"),
    (
        re.compile(r"^DataLoader worker \(pid.*\) (is killed|exited)"),
        "a process that loads images was killed, most likely for want of memory ({}); free some, or lower "
        "data.workers, and go on with --ckpt_path last",
    ),
    (
        re.compile(r"Connection (closed|reset) by peer"),
        "another process of this training has ended; its own message says why. Go on with --ckpt_path last",
    ),
)
"""Errors that are a bare RuntimeError: of pathlib, of gloo, and of torch, wherever the main process is then."""


def _without_traceback(text: str) -> str:
    """Return the message alone of an error of ours from a loader's process: torch puts the traceback before it."""
    return text.strip().splitlines()[-1].partition("Error: ")[2] if "\nOriginal Traceback" in text else text


def _raised_in(error: BaseException) -> str:
    """Return the package whose code raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came from; a library may wrap what torch says."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _nobody_reads() -> bool:
    """Whether stdout is a pipe that was closed, as by ``| head``; what is still to be printed goes nowhere then."""
    # Not by another flush: that has nothing left to write, since the failed one may have dropped it.
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
