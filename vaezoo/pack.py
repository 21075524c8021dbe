"""Jobs that train at the same time in one process on one device: a thread each, of which one runs at a time.

A job runs until its next batch (`turn`); then the next job does, until all had their turn and it goes on. So nobody
else needs to be ready for threads, any jobs can be packed together, and the numbers of a job are those that it has
alone. On a GPU every job has a stream: the kernels that it has queued run while the next job queues its own.

Jobs call `turn`, `settle`, `shared` and `listen`, which mean nothing outside a pack; `Job.resume` is for who runs one.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from hydra.core.hydra_config import HydraConfig

from vaezoo import room

Thing = TypeVar("Thing")

_running: "Job | None" = None  # whose turn it is
_things: WeakValueDictionary[str, Any] = WeakValueDictionary()  # each there as long as a job uses it


def joined() -> bool:
    """Whether the caller is a job of a pack."""
    return _running is not None


def turn(done: int, of: int) -> None:
    """Between two batches, `done` of the whole budget: the other jobs go on first."""
    if _running is not None:
        _running.pause(done / of)


def settle(device: Any) -> None:
    """From here on the job computes on this device; on a GPU in a stream, and with a random generator, of its own."""
    if _running is None:
        return
    _running.weigh(device)
    if device.type == "cuda":
        import torch

        torch.cuda.init()
        torch.cuda.set_device(device)  # of this thread, and so is the stream
        torch.cuda.set_stream(torch.cuda.Stream(device))
        generator = torch.cuda.default_generators[device.index]
        # CUDA graphs look at the state of the generator while they run: one of another job must not write there.
        generator.graphsafe_set_state(generator.clone_state())


def shared(name: str, make: Callable[[], Thing]) -> Thing:
    """What jobs have in common, which nobody changes: made by the first that needs it."""
    if _running is None:
        return make()
    thing: Thing | None = _things.get(name)
    if thing is None:
        thing = _things[name] = make()
        if _running.device is not None and _running.device.type == "cuda":
            import torch

            torch.cuda.synchronize(_running.device)  # the streams of others do not wait for the one it was made in
    return thing


def listen(receive: Callable[[int, Any], None]) -> None:
    """How the job takes signals, which reach nobody but the main thread."""
    if _running is not None:
        _running.listen(receive)


def settings() -> tuple[Any, ...]:
    """What a job sets for the whole process, and counts on later: it is put back before each of its turns.

    Not among it are the generators that are seeded anew for each batch, and by everything that draws after training;
    what else they held would be missed by runs that go on after an interruption, too. Grad modes, autocast, the
    current device and its stream belong to a thread anyway.
    """
    import torch

    return (
        HydraConfig.instance().cfg,  # the job's own name, folder and overrides
        logging.root.handlers[:],  # its train.log
        (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        torch.backends.cudnn.benchmark,
        [generator.graphsafe_get_state() for generator in torch.cuda.default_generators],
    )


def put_back(found: Sequence[Any]) -> None:
    import torch

    HydraConfig.instance().cfg, logging.root.handlers[:], deterministic, benchmark, states = found
    if deterministic != (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    ):
        torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
    torch.backends.cudnn.benchmark = benchmark
    for generator, state in zip(torch.cuda.default_generators, states, strict=False):  # none before the first use
        generator.graphsafe_set_state(state)


class Job:
    """Work in a thread of its own, which goes on only while `resume` waits for it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.result: Any = None
        self.error: BaseException | None = None  # what ended the work
        self.over = False
        self.turns = 0
        self.share = 0.0  # of its batches that are done
        self.device: Any = None
        self.held = 0  # bytes, before it came
        self.receive: Callable[[int, Any], None] | None = None
        self.missed: int | None = None  # a signal from before it could take one
        self.settings = settings()
        # Held by whoever waits: the job for `go`, the one who resumes it for `back`.
        self.go, self.back = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.back.acquire()
        self.thread = threading.Thread(target=self.main, daemon=True)
        self.thread.start()

    def main(self) -> None:
        try:
            self.go.acquire()
            self.result = self.work()
        except BaseException as error:
            self.error = error
        finally:
            self.over = True
            self.back.release()

    def resume(self) -> None:
        """Let it go on; returns at its next turn, or when it is `over`."""
        global _running
        own = settings()
        put_back(self.settings)
        _running = self
        self.go.release()
        while not self.back.acquire(timeout=1):
            if not self.thread.is_alive():
                self.over = True
                break
        _running = None
        self.settings = settings()
        put_back(own)
        if self.over:
            self.thread.join()
            self.share = 1.0

    def pause(self, share: float) -> None:
        self.turns += 1
        self.share = share
        try:
            self.back.release()
        finally:  # an exception that a signal sends here must not make it run out of turn
            self.go.acquire()

    def weigh(self, device: Any) -> None:
        """What is held from here on is its own need."""
        self.device = device
        room.forget(device)
        self.held = room.peak(device)

    def needs(self) -> int:
        """Bytes, as far as it has come."""
        return 0 if self.device is None else room.peak(self.device) - self.held

    def listen(self, receive: Callable[[int, Any], None]) -> None:
        self.receive = receive
        if self.missed is not None:
            receive(self.missed, None)

    def signal(self, number: int) -> None:
        """In the main thread; what the job raises in answer, it raises wherever it is."""
        if self.receive is None:
            self.missed = number
            return
        try:
            self.receive(number, None)
        except BaseException as error:
            throw(self.thread, error)


def throw(thread: threading.Thread, error: BaseException) -> None:
    """Raise in that thread, as soon as it runs Python code, what the handler of a signal would in the main thread."""
    import ctypes

    class Thrown(type(error)):  # type: ignore[misc]
        """Python takes a class, which it calls without arguments."""

        def __init__(self) -> None:
            BaseException.__init__(self, *error.args)
            self.__dict__.update(error.__dict__)

    Thrown.__name__ = type(error).__name__
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Thrown))
