"""What the benchmarks share: options, ways that take turns, the spread of their ratios, results on file.

Absolute times drift with whoever else is at work on a machine. So every comparison is made by ways that take turns in
one run, and what is reported is the ratio of two turns of the same round: its median, and its range over the rounds.
Nothing but the standard library is imported above: the packages that we compare with import this, too.
"""

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

WARM = 2  # steps that do not count
SHARED = {"rounds": 5, "threads": 0, "results": ""}  # what every script takes; results=FILE adds a line to it


def options(defaults: Mapping[str, Any], arguments: Sequence[str] | None = None) -> tuple[SimpleNamespace, list[str]]:
    """The values of key=value arguments in the types of their defaults; other arguments as they are, for Hydra."""
    values, others = {**SHARED, **defaults}, []
    for argument in sys.argv[1:] if arguments is None else arguments:
        key, _, value = argument.partition("=")
        if key not in values:
            others.append(argument)
        elif isinstance(values[key], tuple):
            values[key] = tuple(filter(None, value.split(",")))
        else:
            values[key] = type(values[key])(value)
    return SimpleNamespace(**values), others


def own_options(defaults: Mapping[str, Any]) -> SimpleNamespace:
    """Those of a script that has nothing to override."""
    values, others = options(defaults)
    if others:
        raise SystemExit(f"{others[0]}: no such option; there are {', '.join(vars(values))}")
    return values


def now(device: Any = None, clock: str = "wall") -> float:
    """Seconds, once the device has done what it was told; `cpu`: those that all threads of this process worked.

    One thread's processor time hardly knows what else a machine does. Two threads count the time that they wait for
    each other.
    """
    if getattr(device, "type", device) == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return time.process_time() if clock == "cpu" else time.perf_counter()


def take_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each way says of each round, one after the other."""
    said: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Every other round backwards, so that nobody always comes after the same neighbour.
        for name in list(ways)[:: 1 if number % 2 == 0 else -1]:
            said[name].append(ways[name]())
    return said


def loop(step: Callable[[Any], None], ready: Sequence[Any], steps: int, clock: str = "wall") -> float:
    """Seconds of so many steps on batches that are ready, without anything around them."""
    for x in ready[:WARM]:
        step(x)
    began = now(ready[0].device, clock)
    for x in islice(cycle(ready), steps):
        step(x)
    return now(ready[0].device, clock) - began


class Spread(NamedTuple):
    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        digits = 2 if self.middle < 10 else 1 if self.middle < 100 else 0
        return f"{self.middle:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


def ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Round by round."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


def set_up(threads: int = 0) -> Any:
    """The device of this run, with as many threads as were asked for."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: Any) -> str:
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    found = Path("/proc/cpuinfo")
    names = (
        [line for line in found.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        if found.exists()
        else []
    )
    name = names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} threads"


def keep(
    file: str,
    benchmark: str,
    device: Any,
    case: Mapping[str, Any],
    values: Mapping[str, Any],
    versions: Mapping[str, str] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A result, with what made it: `values` by way and round; a line of JSON in the file, where one is named."""
    import torch

    result = {
        "benchmark": benchmark,
        "case": dict(case),
        "values": {name: rounded(value) for name, value in values.items()},
        **more,
        "device": device_name(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, **(versions or {})},
        "date": date.today().isoformat(),
        "command": " ".join(["python", "benchmarks/" + Path(sys.argv[0]).name, *told(sys.argv[1:])]),
    }
    if file:
        with Path(file).open("a", encoding="utf-8") as lines:
            print(json.dumps(result), file=lines)
    return result


def told(arguments: Sequence[str]) -> list[str]:
    return [argument for argument in arguments if not argument.startswith("results=")]


def rounded(value: Any) -> Any:
    """Six digits are more than any of these numbers is worth."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def read(file: Path) -> list[dict[str, Any]]:
    """The newest result of each benchmark, case and device."""
    newest = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        result = json.loads(line)
        newest[result["benchmark"], json.dumps(result["case"], sort_keys=True), result["device"]] = result
    return list(newest.values())
