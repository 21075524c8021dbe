"""Interrupts of a training: Ctrl-C, SIGTERM, and a cluster's pre-emption."""

import signal
import threading
from types import FrameType

from vaezoo.distributed import agree
from vaezoo.training.workers import is_orphaned


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or a cluster's pre-emption; with `between_batches` the weights are those of a whole step.

    It is no `Exception`, because code that tries again or does without must not take it for a failure.
    """

    def __init__(self, signum: int, between_batches: bool = False) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.between_batches = between_batches


class Interrupts:
    """While entered, the first SIGINT or SIGTERM waits until `check()` is called; a second one acts at once.

    After `at_once()` the first one does, too, until `keep()`.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self.now = False

    def __enter__(self) -> "Interrupts":
        self.received = None
        self.previous = {number: signal.getsignal(number) for number in self.SIGNALS}
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there alone
            for number in self.SIGNALS:
                signal.signal(number, self.receive)
        return self

    def __exit__(self, *_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.previous.items():
                signal.signal(number, handler)

    def receive(self, signum: int, _: FrameType | None) -> None:
        """Note a signal, or raise Interrupted if it has to act at once."""
        if self.now or self.received is not None:
            raise Interrupted(signum)
        self.received = signum

    def at_once(self) -> None:
        """Let signals act when they come, because nothing is lost by stopping anywhere; raise for one that waits."""
        self.now = True
        if self.received is not None:
            raise Interrupted(self.received)

    def keep(self) -> None:
        """Let signals wait for `check()` again."""
        self.now = False

    def check(self) -> None:
        """Raise Interrupted between two batches if a signal waits. Of several processes, the first decides for all."""
        received = signal.SIGTERM if self.received is None and is_orphaned() else self.received
        if received := int(agree(received or 0)):
            raise Interrupted(received, between_batches=True)
