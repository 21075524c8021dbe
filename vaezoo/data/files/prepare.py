"""Prepare images that take long to decode: they are decoded once and kept in a form that needs no decoding."""

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

from vaezoo.data.files.lock import check_space, check_writing, find_data_folder, lock_data_folder
from vaezoo.errors import UserError
from vaezoo.progress import progress

log = logging.getLogger(__name__)

Make = Callable[[int, int], np.ndarray]  # (start, stop) -> images start ... stop, uint8 (stop - start, *shape)

# A larger share of the machine's memory is mapped: the array stays on the disk, and pages come as they are used.
MAPPED_SHARE = 0.25


def prepare_images(
    dataset: str,
    recipe: Mapping[str, Any],
    count: int,
    shape: tuple[int, ...],
    make: Make,
    *,
    chunk: int = 1024,
    workers: int = 1,
) -> np.ndarray:
    """Return the uint8 array (count, *shape) whose pieces `make(start, stop)` returns; it is made only once.

    `recipe` is everything that determines the bytes (checksums of the source files, crop, size), as JSON knows it. Its
    hash names the file, and it is written beside the file for people. Processes that need the same array wait for the
    one that makes it, and an interrupted preparation is continued. With `workers` > 1, `make` runs in other processes,
    so it must be possible to pickle it. Raises UserError where the data folder cannot take the array.
    """
    text = json.dumps({"dataset": dataset, "recipe": dict(recipe), "shape": [count, *shape]}, sort_keys=True, indent=2)
    folder = find_data_folder() / dataset / "prepared"
    file = folder / f"{dataset}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.npy"
    task = f"dataset={dataset}: preparing its images"
    if (array := load_prepared(file, (count, *shape))) is not None:
        return array
    with lock_data_folder(folder, task):
        if (array := load_prepared(file, (count, *shape))) is not None:
            return array  # Another process made it while this one waited.
        log.info("%s, once for all runs: %s", task, file)
        part = file.with_suffix(".part")
        fill_part(part, count, shape, make, chunk, workers, task)
        with check_writing(folder, task):
            file.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
            part.replace(file)
    array = load_prepared(file, (count, *shape))
    assert array is not None
    return array


def load_prepared(file: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the array in a file, None where the file is missing or damaged."""
    if not file.is_file():
        return None
    try:
        array = np.lib.format.open_memmap(file, mode="r")
        complete = file.stat().st_size == array.offset + array.nbytes
    except (ValueError, SyntaxError, TokenError):  # no header, a damaged one, or fewer bytes than it announces
        complete = False
    if not complete or array.dtype != np.uint8 or array.shape != shape:
        log.warning("%s is damaged and will be made again.", file)
        return None
    return array if array.nbytes > MAPPED_SHARE * count_memory() else np.array(array)


def count_memory() -> int:
    """Return the size of the machine's memory in bytes; 8 GiB where Python cannot tell, as on Windows."""
    if not hasattr(os, "sysconf"):
        return 2**33
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def fill_part(part: Path, count: int, shape: tuple[int, ...], make: Make, chunk: int, workers: int, task: str) -> None:
    """Write the whole array to `part`, from the first image that is not there yet.

    Images are appended in order, so the length of the file tells how many are done, and an image that was written
    partly is written again. A full disk is an error here, whereas it would crash a process that writes to a memory map.
    """
    beginning, image_bytes = make_header((count, *shape)), prod(shape)
    with check_writing(part.parent, task), part.open("ab+") as stream:
        stream.seek(0)
        has_header = stream.read(len(beginning)) == beginning
        done = min((part.stat().st_size - len(beginning)) // image_bytes, count) if has_header else 0
        stream.truncate(len(beginning) + done * image_bytes if has_header else 0)
        if not has_header:
            stream.write(beginning)
    if done:
        log.info("%s: %s of %s are there already.", task, f"{done:,}", f"{count:,}")
    missing = (count - done) * image_bytes
    check_space(part.parent, task, missing)
    jobs = [(start, min(start + chunk, count)) for start in range(done, count, chunk)]
    with (
        part.open("ab") as stream,
        progress(f"preparing {part.stem}", count, "image") as bar,
        closing(make_pieces(make, jobs, workers)) as pieces,
    ):
        bar.update(done)
        for (start, stop), images in zip(jobs, pieces, strict=True):
            if images.dtype != np.uint8 or images.shape != (stop - start, *shape):
                raise ValueError(f"{task}: make({start}, {stop}) gave {images.dtype} {images.shape}")
            with check_writing(part.parent, task, missing):
                stream.write(np.ascontiguousarray(images).data)
                stream.flush()
            bar.update(stop - start)
        with check_writing(part.parent, task, missing):
            os.fsync(stream.fileno())


def make_header(shape: tuple[int, ...]) -> bytes:
    """Return the beginning of the .npy file of a uint8 array."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return stream.getvalue()


def make_pieces(make: Make, jobs: list[tuple[int, int]], workers: int) -> Generator[np.ndarray]:
    """Yield the images that `make` returns for each job (start, stop), in order."""
    if workers <= 1:
        for job in jobs:
            yield make(*job)
        return
    # Spawned, because a fork of a process with threads, such as those of torch, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=follow_parent) as pool:
        waiting: deque[Future[np.ndarray]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(make, *job))
                if len(waiting) > 2 * workers:  # More finished pieces would fill the memory.
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise UserError(
                "A process that prepares images was killed, perhaps for lack of memory. What is done stays: try again."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def follow_parent() -> None:
    """Let a worker ignore Ctrl-C, which its parent answers, and end when its parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_with_parent, daemon=True).start()
