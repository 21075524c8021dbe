"""The far end of a comparison: a package in an environment of its own, which trains when it is told to.

One line of JSON is a request, one the answer; what the package prints goes where its errors go.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

Turn = Callable[[], float]  # trains once, says the seconds


def serve(prepare: Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, Turn]]]) -> None:
    """`prepare` makes a case ready: what is to be known about it, and the ways in which it can train."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    turns: dict[str, Turn] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "go" in request:
            answer: dict[str, Any] = {"seconds": turns[request["go"]]()}
        else:
            facts, turns = prepare(request)
            answer = {**facts, "ways": list(turns)}
        print(json.dumps(answer), file=answers, flush=True)
