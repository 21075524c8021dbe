"""Images that take long to decode are decoded once and kept, in a form that needs no decoding."""

import hashlib
import io
import json
import logging
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from vaezoo.data.files.lock import data_folder, require_space, sole_writer, writing_to
from vaezoo.errors import UserError
from vaezoo.progress import progress

log = logging.getLogger(__name__)

Make = Callable[[int, int], np.ndarray]

MAPPED_SHARE = 0.25  # of the machine's memory: larger arrays stay on the disk, and their pages come as they are used


def prepared(
    dataset: str,
    recipe: Mapping[str, Any],
    count: int,
    shape: tuple[int, ...],
    make: Make,
    *,
    chunk: int = 1024,
    workers: int = 1,
) -> np.ndarray:
    """The uint8 array (count, *shape) that `make(start, stop)` gives in pieces, made once and read ever after.

    `recipe` is everything that determines the bytes (checksums of the source files, crop, size), in JSON's types: it
    is hashed into the file's name, and written beside it for people. Processes that need the same array wait for the
    one that makes it; an interrupted one is continued. With `workers` > 1 `make` runs in processes and is pickled.
    """
    told = {"dataset": dataset, "recipe": dict(recipe), "shape": [count, *shape]}
    text = json.dumps(told, sort_keys=True, indent=2)
    folder = data_folder() / dataset / "prepared"
    file = folder / f"{dataset}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"
    what = f"dataset={dataset}: preparing its images"
    if (array := load(file, (count, *shape))) is not None:
        return array
    with sole_writer(folder, what):
        if (array := load(file, (count, *shape))) is not None:
            return array  # made while this process waited
        log.info("%s, once for all runs: %s", what, file)
        part = file.with_suffix(".part")
        fill(part, count, shape, make, chunk, workers, what)
        with writing_to(folder, what):
            file.with_suffix(".json").write_text(text + "\n")
            part.replace(file)
    array = load(file, (count, *shape))
    assert array is not None
    return array


def load(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in a file, or None if there is none or the file is not what was written there."""
    if not file.is_file():
        return None
    try:
        array = np.lib.format.open_memmap(file, mode="r")
        whole = file.stat().st_size == array.offset + array.nbytes
    except (ValueError, SyntaxError, TokenError):  # no header, a damaged one, or fewer bytes than it says
        whole = False
    if not whole or array.dtype != np.uint8 or array.shape != shape:
        log.warning("%s is damaged and will be made again.", file)
        return None
    return array if array.nbytes > MAPPED_SHARE * machine_memory() else np.array(array)


def machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def fill(part: Path, count: int, shape: tuple[int, ...], make: Make, chunk: int, workers: int, what: str) -> None:
    """Write the whole array to `part`, from the first image that is not there yet.

    Images are appended in order, so the length of the file is the record of what is done, and an image of which only a
    piece was written is written anew. Unlike a memory map, a full disk is an error here and not a crash.
    """
    beginning, row = header((count, *shape)), prod(shape)
    with writing_to(part.parent, what), part.open("ab+") as stream:
        stream.seek(0)
        begun = stream.read(len(beginning)) == beginning
        done = min((part.stat().st_size - len(beginning)) // row, count) if begun else 0
        stream.truncate(len(beginning) + done * row if begun else 0)
        if not begun:
            stream.write(beginning)
    if done:
        log.info("%s: %s of %s are there already.", what, f"{done:,}", f"{count:,}")
    missing = (count - done) * row
    require_space(part.parent, what, missing)
    jobs = [(start, min(start + chunk, count)) for start in range(done, count, chunk)]
    with (
        part.open("ab") as stream,
        progress(f"preparing {part.stem}", count, "image") as bar,
        closing(pieces(make, jobs, workers)) as made,
    ):
        bar.update(done)
        for (start, stop), images in zip(jobs, made, strict=True):
            if images.dtype != np.uint8 or images.shape != (stop - start, *shape):
                raise ValueError(f"{what}: make({start}, {stop}) gave {images.dtype} {images.shape}")
            with writing_to(part.parent, what, missing):
                stream.write(np.ascontiguousarray(images).data)
                stream.flush()
            bar.update(stop - start)
        with writing_to(part.parent, what, missing):
            os.fsync(stream.fileno())


def header(shape: tuple[int, ...]) -> bytes:
    """The beginning of the .npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def pieces(make: Make, jobs: list[tuple[int, int]], workers: int) -> Generator[np.ndarray]:
    """What `make` gives for each job, in order."""
    if workers <= 1:
        for job in jobs:
            yield make(*job)
        return
    # Spawned, because a fork of a process with threads, such as torch has, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=obey_parent) as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        try:
            for job in jobs:
                ahead.append(pool.submit(make, *job))
                if len(ahead) > 2 * workers:  # no more than that waits in memory for its turn
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "A process that prepares images was killed, perhaps for lack of memory. What is done stays: try again."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def obey_parent() -> None:
    """In a worker: Ctrl-C is the parent's to answer, and nothing is left to do when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
