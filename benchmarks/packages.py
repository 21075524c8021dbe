"""The near end of a comparison with another process: the loop by hand, or a public package in its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".bench"  # made by `make bench-environments`
MODELS = {"pythae": ("betavae", "betatcvae"), "disent": ("betavae", "dipvae", "betatcvae")}


class Missing(Exception):
    """The package cannot be compared with; why, in one line."""


class Package:
    """A process that waits for its turns. Only one trains at a time: the others wait on their pipes."""

    def __init__(self, name: str, threads: int) -> None:
        python = Path(sys.executable) if name == "bare" else ENVIRONMENTS / name / "bin" / "python"
        if not python.exists():
            raise Missing(f"{name} has no environment here: make bench-environments")
        self.name = name
        ENVIRONMENTS.mkdir(exist_ok=True)
        self.log = ENVIRONMENTS / f"{name}.log"
        own = {"OMP_NUM_THREADS": str(threads), "PYTHONWARNINGS": "ignore"}
        with self.log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [python, HERE / f"{name}_worker.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **own},
            )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdout is not None
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            last = self.log.read_text(encoding="utf-8").strip().splitlines()[-1:] or ["it said nothing"]
            raise Missing(f"{self.name} stopped: {last[0]} (all of it: {self.log})")
        return json.loads(line)

    def trains(self, model: str) -> bool:
        return self.name not in MODELS or model in MODELS[self.name]

    def prepare(self, case: dict[str, Any]) -> dict[str, Any]:
        return self.ask(case)

    def train(self, way: str) -> float:
        return self.ask({"go": way})["seconds"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
