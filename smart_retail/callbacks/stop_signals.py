"""Ctrl-C and SIGTERM, heard at once and answered between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException


class StopSignals:
    """Remembers which signal asked the process to stop.

    Lightning's own handler of SIGTERM speaks to the other ranks from within the signal: in the middle of
    a step, where they wait for something else, all of them would then wait forever.
    """

    def __init__(self) -> None:
        """Start deaf."""
        self.asked = 0
        self.handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Take Ctrl-C and SIGTERM over, where that is possible (in the main thread)."""
        self.asked = 0
        if threading.current_thread() is threading.main_thread():
            self.handlers = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}

    def unlisten(self) -> None:
        """Give them back."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = max(self.asked, number)  # SIGTERM is the greater
        if number == signal.SIGINT:
            rank_zero_info("\nInterrupted: saving after this step. (Again: stop at once.)")


def answer(asked: int) -> None:
    """End the run as the signal asks.

    Raises:
        KeyboardInterrupt: for SIGINT.
        SIGTERMException: for SIGTERM.
    """
    if asked == signal.SIGTERM:
        raise SIGTERMException
    if asked == signal.SIGINT:
        raise KeyboardInterrupt
