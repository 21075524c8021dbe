"""Whether there is memory for one more job on the device: counted, not guessed."""

import resource
import sys
from pathlib import Path
from typing import Any

GROUP = Path("/sys/fs/cgroup")  # of a container


def free(device: Any) -> int:
    """Bytes that can still be had; where nobody says, there are plenty."""
    if device.type == "cuda":
        import torch

        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # PyTorch gives it out again
        return torch.cuda.mem_get_info(device)[0] + kept
    return min(free_in_machine(Path("/proc/meminfo")), free_in_group(GROUP))


def peak(device: Any) -> int:
    """The most bytes that this process has held, on a GPU since `forget`."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget(device: Any) -> None:
    """The peak begins anew, where the system lets it."""
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def give_back(device: Any) -> None:
    """What PyTorch keeps of a job that has ended, in pools that only the stream of that job would use."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.empty_cache()


def free_in_machine(told: Path) -> int:
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), sys.maxsize)


def free_in_group(folder: Path) -> int:
    try:
        most, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        files = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())["inactive_file"]
    except OSError:
        return sys.maxsize
    return sys.maxsize if most == "max" else int(most) - int(used) + int(files)
