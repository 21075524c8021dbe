"""Put the tables of docs/benchmarks.jsonl into docs/benchmarks.md, between the marks of each benchmark.

    python benchmarks/write.py

The text around the marks is written by hand and stays. Results of another device, say from a machine with a GPU, are
lines in the same file: a new run replaces only those of its own device.
"""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import interleaved
import tables

DOCS = Path(__file__).parents[1] / "docs"
MARKS = re.compile(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", re.DOTALL)


def setting(result: dict[str, Any]) -> str:
    """Results with the same one share a table."""
    processor = "; processor time" if result["case"].get("clock") == "cpu" else ""
    return f"{result['device']}{processor}"


def section(results: list[dict[str, Any]], make: Any) -> list[str]:
    """A table for each setting, under what made it."""
    lines = []
    for title, group in groupby(sorted(results, key=setting), setting):
        shown = list(group)
        versions = {name: version for result in shown for name, version in result["versions"].items()}
        dates = sorted({result["date"] for result in shown})
        made = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines += ["", f"**{title}** ({made}; {' to '.join(dict.fromkeys((dates[0], dates[-1])))})", ""]
        lines += [*make(shown), ""]
        lines += [f"`{command}`  " for command in dict.fromkeys(result["command"] for result in shown)]
    return [*lines, ""] if lines else ["", "Not measured yet.", ""]


def written(text: str, results: list[dict[str, Any]]) -> str:
    def fill(mark: re.Match[str]) -> str:
        name = mark[1]
        own = [result for result in results if result["benchmark"] == name]
        return "\n".join([f"<!-- {name} -->", *section(own, getattr(tables, name)), f"<!-- /{name} -->"])

    return MARKS.sub(fill, text)


def main() -> None:
    page = DOCS / "benchmarks.md"
    page.write_text(
        written(page.read_text(encoding="utf-8"), interleaved.read(DOCS / "benchmarks.jsonl")), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
