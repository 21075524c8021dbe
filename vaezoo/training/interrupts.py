"""Interrupts of a training: Ctrl-C, SIGTERM, and a cluster's pre-emption."""

import signal
import threading
from types import FrameType

from vaezoo.distributed import agree
from vaezoo.training.workers import orphaned


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or a cluster's pre-emption; `between_batches` the weights are those of a whole step.

    Not an `Exception`, so that nobody who tries again or does without takes it for a failure.
    """

    def __init__(self, signum: int, between_batches: bool = False) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.between_batches = between_batches


class Interrupts:
    """While entered, the first SIGINT or SIGTERM is kept until `check()` is called; a second one acts at once.

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
        if self.now or self.received is not None:
            raise Interrupted(signum)
        self.received = signum

    def at_once(self) -> None:
        """Nothing is lost by stopping anywhere: what was received acts now, what comes later when it comes."""
        self.now = True
        if self.received is not None:
            raise Interrupted(self.received)

    def keep(self) -> None:
        self.now = False

    def check(self) -> None:
        """Between two batches. Of several processes, the first decides for all."""
        received = signal.SIGTERM if self.received is None and orphaned() else self.received
        if received := int(agree(received or 0)):
            raise Interrupted(received, between_batches=True)
