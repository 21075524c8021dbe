"""Everything that only a GPU can show, in less than ten minutes on one card; docs/gpu.md explains the results.

    python benchmarks/gpu_day.py [results=gpu_day.jsonl] [parts=data,engines,...] [size=full|tiny] [seconds=580]

Each result is a line of JSON, on the screen and at the end of the file, as soon as it is there. Each part runs in a
process of its own with a limit of time: one that fails or takes too long leaves a line with the reason under "failed",
and the next part begins. `seconds` limits all of them together. The exit status is 1 if a part has failed.

`size=tiny` runs the same parts with few steps, also on a CPU, as a rehearsal.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from typing import Any

import interleaved

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DEFAULTS = {"results": "gpu_day.jsonl", "parts": (), "size": "full", "seconds": 580.0}
PRECISIONS = {"float32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed"}
SIZES = {
    "full": {
        "models": ["betavae", "factorvae", "vaegan"],
        "batches": [64, 256],
        "line": ["dataset=dsprites"],
        "seconds": 0.4,  # of a turn
        "rounds": 3,
        "run": ["max_batches=60000", "metric=fast"],
        "steps": 2000,  # of runs side by side, and of a run that is repeated
        "processes": [1, 2, 8],
        "metric": ["metric=full"],
        "compiles": True,  # ways of the first model that take half a minute each to begin
        "tests": "on_a_gpu and (graphed or [vae-c or [dec-c or [dipvae-c or [factorvae-c)",
    },
    "tiny": {
        "models": ["betavae"],
        "batches": [4],
        "line": ["dataset=dsprites", "dataset.val_images=8"],
        "seconds": 0.0,
        "rounds": 1,
        "run": ["max_batches=4", "val_every=2", "metric=fast", "metric.rows=300", "metric.test_rows=50"],
        "steps": 2,
        "processes": [1, 2],
        "metric": ["metric=fast", "metric.rows=300", "metric.test_rows=50"],
        "compiles": False,
        "tests": "on_a_gpu and [vae-g",
    },
}
Settings = dict[str, Any]
Results = Iterator[dict[str, Any]]


# ---- the parts -----------------------------------------------------------------------------------------------------


def data(settings: Settings) -> Results:
    """Yield the machine, its versions, and the seconds that the images take, which are rendered once."""
    import pytorch_lightning
    import torch
    from training import Job, workplace

    device = interleaved.set_up()
    with workplace() as (folder, interrupts):
        began = time.perf_counter()
        job = Job([*settings["line"], "model=betavae"], folder, interrupts)
        assert job.data.store is not None
        yield {
            "device": interleaved.device_name(device),
            "python": sys.version.split()[0],
            "torch": torch.__version__,
            "lightning": pytorch_lightning.__version__,
            "cores": os.cpu_count(),
            "seconds": time.perf_counter() - began,
            "images": len(job.data.store),
            "resident": job.data.store.resident,
            "megabytes": megabytes(torch),
        }


def engines(settings: Settings) -> Results:
    """Yield how many tests of the engines on a GPU have passed, and the first line of each that has not."""
    workers = ["-n", "6"] if importlib.util.find_spec("xdist") and settings["size"] == "full" else ["-p", "no:xdist"]
    command = [sys.executable, "-m", "pytest", "tests/training/test_engines.py", "-k", settings["tests"], "-rA", "-v"]
    command += ["-p", "no:cacheprovider", "--tb=line", "--color=no", *workers]
    with TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(settings["limit"] - 10)
            ended = True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = False
        output.seek(0)
        text = output.read()
    failures = re.findall(r"(?m)^(?:FAILED|ERROR) \S*::(.*)$", text)
    yield {"tests": count_outcomes(text), "ended": ended, "failures": failures, "status": process.returncode}
    if failures or not ended or process.returncode not in (0, 5):
        raise RuntimeError(f"{len(failures)} tests have failed, ended: {ended}: {' '.join(text.split()[-12:])}")


def speed(settings: Settings) -> Results:
    """Yield the steps a second of engines and of loops by hand, in turns, with their memory and share of a floor."""
    import floors
    import torch
    from training import Job, workplace

    device = interleaved.set_up()
    until = time.perf_counter() + settings["limit"] - 15
    rates = {}
    for name, dtype in {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}.items():
        with precision(name):
            rates[name] = floors.product(dtype, name == "tf32", device, settings["seconds"], "wall")
    yield {"products_a_second": rates}
    failed = []
    with workplace() as (folder, interrupts):
        images = None
        for batch in settings["batches"]:
            for model in settings["models"]:
                line = [*settings["line"], f"model={model}", f"dataset.batch_size={batch}"]
                case = {"model": model, "batch": batch}
                job = Job(line, folder, interrupts, images)
                images = job.data
                operations = sum(cost.operations for cost in floors.costs(job.model.to(device), job.batches(1)[0]))
                ways: dict[str, Callable[[], float]] = {}
                for name, build in list_ways(settings, line, folder, interrupts, images).items():
                    if time.perf_counter() > until:
                        yield {**case, "way": name, "left_out": "no time was left"}
                        continue
                    try:
                        way = build()
                        with precision(name.split()[0]):
                            steps = max(2, min(5000, round(settings["seconds"] / way(2))))
                    except Exception as error:  # Each way may fail alone.
                        failed.append(f"{name} of {model} at {batch}")
                        yield {**case, "way": name, "failed": describe(error)}
                    else:
                        ways[name] = partial(way, steps)
                seconds: dict[str, list[float]] = {name: [] for name in ways}
                memory: dict[str, float] = {}
                for _ in range(settings["rounds"]):
                    if time.perf_counter() > until and any(seconds.values()):
                        break
                    for name, way in ways.items():
                        reset_memory(torch)
                        with precision(name.split()[0]):
                            seconds[name].append(way())
                        memory[name] = megabytes(torch)
                # Those of FactorVAE and VAE/GAN do more than encode and decode once, which is what is counted.
                shares = {
                    name: [operations / value / rates[name.split()[0]] for value in values]
                    for name, values in seconds.items()
                    if model == "betavae"
                }
                yield {
                    **case,
                    "steps_a_second": {name: [1 / value for value in values] for name, values in seconds.items()},
                    "share_of_floor": shares,
                    "megabytes": memory,
                    "operations": operations,
                }
    if failed:
        raise RuntimeError(f"failed: {', '.join(failed)}")


def list_ways(settings: Settings, line: list[str], folder: Path, interrupts: Any, images: Any) -> dict[str, Any]:
    """Return functions by "PRECISION WAY" that build a way to train; it takes a number of steps, and times one.

    Only the first model has the ways that compile, in float32 and bf16.
    """
    import torch
    from bare_worker import minimising, model_of
    from training import Job, by_hand, with_plain_networks

    def by_engine(name: str, engine: str) -> Callable[[int], float]:
        flags = [f"trainer.engine={engine}", f"trainer.precision={PRECISIONS[name]}"]
        job = Job([*line, *flags], folder, interrupts, images)
        return lambda steps: job.train(steps)

    def by_loop(name: str, mode: str | None) -> Callable[[int], float]:
        job = Job(line, folder, interrupts, images)
        facts, ready = job.told(folder, 4), job.batches(4)
        model = model_of(facts)
        if model is None:
            step = by_hand(with_plain_networks(job.model, facts))
        else:
            loss = model if mode is None else torch.compile(model, mode=mode)
            step = minimising(facts, loss, model.parameters())

        def in_precision(x: Any) -> None:
            with torch.autocast(x.device.type, torch.bfloat16, enabled=name == "bf16", cache_enabled=False):
                step(x)

        return lambda steps: interleaved.loop(in_precision, ready, steps) / steps

    def by_pythae() -> Callable[[int], float]:
        from pythae_worker import prepare

        job = Job(line, folder, interrupts, images)

        def train(steps: int) -> float:
            facts = job.told(folder, steps)
            return prepare({**facts, "workers": 0, "clock": "wall"})[1]["pythae"]() / steps

        return train

    ways: dict[str, Any] = {}
    for name in PRECISIONS:
        ways[f"{name} eager"] = partial(by_engine, name, "eager")
        if torch.cuda.is_available():
            ways[f"{name} graphed"] = partial(by_engine, name, "graphed")
        ways[f"{name} bare"] = partial(by_loop, name, None)
        if settings["compiles"] and name != "tf32" and f"model={settings['models'][0]}" in line:
            ways[f"{name} compiled"] = partial(by_engine, name, "compiled")
            ways[f"{name} reduce-overhead"] = partial(by_loop, name, "reduce-overhead")
    if importlib.util.find_spec("pythae") and "model=betavae" in line:
        ways["float32 pythae"] = by_pythae
    return ways


def run(settings: Settings) -> Results:
    """Yield the seconds and the scores of a whole run by the command, on a GPU with the graphed engine."""
    engine = "graphed" if settings["gpu"] else "eager"
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        line = [*settings["line"], "model=betavae", *settings["run"], f"trainer.engine={engine}", "logger=csv"]
        line += ["figure=none", "callbacks.progress=false", f"hydra.run.dir={folder}/run"]
        outcome = subprocess.run(
            [sys.executable, "-m", "vaezoo.train", *line], cwd=folder, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if outcome.returncode:
            raise RuntimeError(" ".join((outcome.stderr or outcome.stdout).strip().splitlines()[-1:]))
        took = next(filter(re.compile(r"\d+ batches").match, outcome.stdout.splitlines()), "")
        scores = json.loads((Path(folder) / "run/metrics.json").read_text(encoding="utf-8"))
        yield {"line": line[:-1], "seconds": seconds, "took": took, "scores": scores["scores"]}


def together(settings: Settings) -> Results:
    """Yield the steps a second of all runs that train at the same time on this machine, each in its own process."""
    engine = "graphed" if settings["gpu"] else "eager"
    line = [*settings["line"], "model=betavae", f"trainer.engine={engine}"]
    for count in settings["processes"]:
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, "only=worker", json.dumps({"line": line, "steps": settings["steps"]})],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(count)
        ]
        try:
            for process in processes:  # They begin when all are ready.
                assert process.stdout is not None
                if process.stdout.readline().strip() != "ready":
                    raise RuntimeError(f"one of {count} processes has ended before it was ready")
            for process in processes:
                print("go", file=process.stdin, flush=True)
            seconds = [float(process.communicate()[0]) for process in processes]
        finally:
            for process in processes:
                process.kill()
        yield {"processes": count, "steps_a_second": sum(1 / value for value in seconds), "seconds_a_step": seconds}


def work(case: dict[str, Any]) -> None:
    """Train a job when a line comes on the input, and print the seconds of a step."""
    lines = own_output()
    from training import Job, workplace

    with workplace() as (folder, interrupts):
        job = Job(case["line"], folder, interrupts)
        job.train(2)
        print("ready", file=lines, flush=True)
        sys.stdin.readline()
        print(job.train(case["steps"]), file=lines, flush=True)


def determinism(settings: Settings) -> Results:
    """Yield for each engine whether a run that is repeated has the same weights, bit for bit."""
    import torch
    from training import Job, workplace

    with workplace() as (folder, interrupts):
        images = None
        for engine in ["eager", "graphed"] if settings["gpu"] else ["eager"]:
            weights = []
            for _ in range(2):
                flags = [f"trainer.engine={engine}", "trainer.deterministic=true"]
                job = Job([*settings["line"], "model=betavae", *flags], folder, interrupts, images)
                images = job.data
                job.train(settings["steps"])
                weights.append({name: value.cpu().clone() for name, value in job.model.state_dict().items()})
            different = [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])]
            yield {"engine": engine, "steps": settings["steps"], "equal": not different, "different": different}


def evaluation(settings: Settings) -> Results:
    """Yield the seconds and the peak memory of an evaluation."""
    import torch
    from training import Job, workplace

    from vaezoo.evaluation.evaluate_model import evaluate_model

    with workplace() as (folder, interrupts):
        job = Job([*settings["line"], "model=betavae", *settings["metric"], "figure=none"], folder, interrupts)
        job.train(2)
        model = job.model.to(job.device)
        reset_memory(torch)
        began = time.perf_counter()
        options = {"metric": job.config.metric, "figure": job.config.figure, "seed": 0}
        scores, _ = evaluate_model(model, job.data, folder, title="", **options)
        seconds = interleaved.now(job.device) - began
        yield {"seconds": seconds, "scores": len(scores.values), "megabytes": megabytes(torch)}


PARTS: dict[str, tuple[Callable[[Settings], Results], float]] = {  # with the seconds that each may take
    "data": (data, 90),
    "engines": (engines, 130),
    "speed": (speed, 200),
    "run": (run, 110),
    "together": (together, 75),
    "determinism": (determinism, 45),
    "evaluation": (evaluation, 60),
}


# ---- what they share -----------------------------------------------------------------------------------------------


@contextmanager
def precision(name: str) -> Iterator[None]:
    """Allow TF32 in products and convolutions, or refuse it, which PyTorch does for products alone."""
    import torch

    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def count_outcomes(text: str) -> dict[str, int]:
    """Return how many lines of the summary of pytest begin with each outcome."""
    outcomes = re.findall(r"(?m)^(PASSED|FAILED|ERROR|SKIPPED)\b(?: \[(\d+)\])?", text)
    counts: dict[str, int] = {}
    for name, number in outcomes:
        counts[name.lower()] = counts.get(name.lower(), 0) + int(number or 1)
    return counts


def megabytes(torch: Any) -> float:
    """Return the largest memory of the GPU that was used since `reset_memory`; 0 without one."""
    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0


def reset_memory(torch: Any) -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def describe(error: BaseException) -> str:
    """Return the kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def rounded(value: Any) -> Any:
    """Return a result with six digits in each number, which is more than any of them is worth."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else interleaved.rounded(value)


# ---- the day -------------------------------------------------------------------------------------------------------


def run_part(name: str, command: Sequence[str], limit: float, write: Callable[[dict[str, Any]], None]) -> bool:
    """Run a part in a process of its own, pass on its lines of JSON, and return whether it has succeeded.

    A part that fails, or that takes more seconds than its limit, is a line of its own with the reason.
    """
    began = time.perf_counter()
    with TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(), start_new_session=True
        )

        def pass_on() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    write({"part": name, **json.loads(line)})

        reader = Thread(target=pass_on, daemon=True)
        reader.start()
        reason = ""
        try:
            process.wait(max(1.0, limit))
        except subprocess.TimeoutExpired:
            reason = f"it took more than {limit:.0f} seconds"
        end_session(process)
        reader.join(5)
        if process.returncode and not reason:
            errors.seek(0)
            reason = next(iter(reversed(errors.read().strip().splitlines())), f"status {process.returncode}")
    outcome = {"failed": reason} if reason else {"done": True}
    write({"part": name, **outcome, "seconds": time.perf_counter() - began})
    return not reason


def end_session(process: "subprocess.Popen[str]") -> None:
    """End a process and those that it has started, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def environment() -> dict[str, str]:
    """Return the environment of a part, which finds vaezoo, and bounds of types where annotated-types is missing."""
    folders = [str(ROOT), *([] if importlib.util.find_spec("annotated_types") else [str(HERE / "stand_ins")])]
    folders += filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), "PYTHONWARNINGS": "ignore"}


def own_output() -> Any:
    """Return the standard output for results alone; what libraries print goes to the errors."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lines


def work_alone(name: str, settings: Settings) -> None:
    """Run a part in this process and print its results."""
    lines = own_output()
    import torch

    for result in PARTS[name][0]({**settings, "gpu": torch.cuda.is_available()}):
        print(json.dumps(rounded(result)), file=lines, flush=True)


def main() -> None:
    if sys.argv[1:2] == ["only=worker"]:
        work(json.loads(sys.argv[2]))
        return
    if sys.argv[1:] and sys.argv[1].startswith("only="):
        work_alone(sys.argv[1].partition("=")[2], json.loads(sys.argv[2]))
        return
    asked = interleaved.own_options(DEFAULTS)
    names = asked.parts or tuple(PARTS)
    if wrong := [name for name in (*names, asked.size) if name not in PARTS and name not in SIZES]:
        raise SystemExit(f"{wrong[0]}: parts are {', '.join(PARTS)}; sizes are {', '.join(SIZES)}")
    began, failed = time.perf_counter(), []

    def write(result: dict[str, Any]) -> None:
        line = json.dumps(rounded(result))
        print(line, flush=True)
        with Path(asked.results).open("a", encoding="utf-8") as file:
            print(line, file=file)

    for name in names:
        limit = min(PARTS[name][1], asked.seconds - (time.perf_counter() - began))
        settings = {"size": asked.size, "limit": limit, **SIZES[asked.size]}
        command = [sys.executable, __file__, f"only={name}", json.dumps(settings)]
        if limit < 5:
            write({"part": name, "failed": f"no time was left of {asked.seconds:.0f} seconds"})
            failed.append(name)
        elif not run_part(name, command, limit, write):
            failed.append(name)
    write({"part": "end", "failed": failed, "seconds": time.perf_counter() - began})
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
