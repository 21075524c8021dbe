"""Which jobs of a study are in the pack (`vaezoo.pack`), and how all of them end."""

import gc
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from tqdm import tqdm

from vaezoo import room
from vaezoo.pack import Job

SETTLED = 3  # turns until a job has the memory that training takes
MARGIN = 1.2  # times what the largest job needed must be free for one more
MOST = {"cpu": 8, "cuda": 64}  # jobs, whatever memory there is


class Pack:
    """Goes round the jobs at hand, turn by turn; the place of one that has ended is given to the next of `works`.

    `size` jobs at the same time, or, where it is None, as many as the device has memory for.
    """

    def __init__(self, works: Sequence[Callable[[], Any]], size: int | None, progress: bool) -> None:
        self.waiting = deque(works)
        self.size = size
        self.progress = progress
        self.begun: list[Job] = []
        self.largest = 0  # bytes that a job needed
        self.received: int | None = None  # a signal
        self.ending: BaseException | None = None  # why no more jobs begin

    def run(self) -> list[Any]:
        """What the works return, in their order. What one of them raises ends all."""
        alive: deque[Job] = deque()
        with ExitStack() as stack:
            stack.enter_context(signals(self.take))
            shown = stack.enter_context(bar(len(self.waiting))) if self.progress else None
            look = True  # whether there may be room by now
            while True:
                if look and (look := self.has_room(alive)):
                    alive.appendleft(self.begin())
                if not alive:
                    break
                job = alive.popleft()
                job.resume()
                if job.over:
                    self.bury(job)
                else:
                    alive.append(job)
                look = look or job.over or job.turns == SETTLED
                if shown is not None:
                    shown.set_postfix_str(f"{len(alive)} at a time", refresh=False)
                    done = len(self.begun) - len(alive) + sum(job.share for job in alive)
                    shown.update(done - shown.n)
        if self.ending is not None:
            raise self.ending
        return [job.result for job in self.begun]

    def begin(self) -> Job:
        job = Job(self.waiting.popleft())
        self.begun.append(job)
        job.missed = self.received
        return job

    def has_room(self, alive: Sequence[Job]) -> bool:
        """Whether the next job is to begin. How much the newest needs is known once it trains."""
        if not self.waiting or self.ending is not None:
            return False
        if self.size is not None or not alive:
            return len(alive) < (self.size or 1)
        newest = self.begun[-1]
        if newest.turns < SETTLED and not newest.over:
            return False
        self.largest = max(self.largest, newest.needs())
        device = alive[0].device
        return len(alive) < MOST.get(device.type, MOST["cpu"]) and room.free(device) > MARGIN * self.largest

    def bury(self, job: Job) -> None:
        """Its memory is free for the next; a traceback would keep all that its frames knew."""
        if job.error is not None and self.ending is None:
            self.ending = job.error
            for other in self.begun:
                other.signal(signal.SIGTERM)
        for error in (job.error, getattr(job.result, "_return_value", None)):
            while isinstance(error, BaseException):
                error.__traceback__ = None
                error = error.__cause__ or error.__context__
        gc.collect()
        room.give_back(job.device)

    def take(self, number: int, _: Any) -> None:
        """Every job takes the signal as it would alone; the first one lets it save."""
        if self.received is None:
            self.received = number
            self.ending = self.ending or SystemExit(128 + number)
            print(f"\n{signal.Signals(number).name}: the same command goes on", file=sys.stderr)
        for job in self.begun:
            job.signal(number)


@contextmanager
def signals(take: Callable[[int, Any], None]) -> Iterator[None]:
    """SIGINT and SIGTERM are `take`n as long as the pack lasts."""
    before = {number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def bar(jobs: int) -> Iterator[tqdm]:
    """One for the pack, which makes room for what jobs print; a job that is half done counts as half a job."""
    shown = tqdm(
        desc="pack",
        total=jobs,
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} jobs [{elapsed}<{remaining}{postfix}]",
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    )
    with shown, redirect_stdout(Beside(sys.stdout, shown)), redirect_stderr(Beside(sys.stderr, shown)):
        yield shown


class Beside:
    """A stream whose lines do not run into the bar."""

    def __init__(self, stream: Any, shown: tqdm) -> None:
        self.stream = stream
        self.shown = shown
        self.at_start = True  # of a line

    def write(self, text: str) -> int:
        if self.at_start:
            self.shown.clear()
        self.at_start = text.endswith("\n")
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
