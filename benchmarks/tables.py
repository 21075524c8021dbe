"""The tables of docs/benchmarks.md, as lines of Markdown; the scripts print the same."""

from collections.abc import Iterable, Sequence
from typing import Any

from interleaved import Spread, ratio

Results = Sequence[dict[str, Any]]


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The first column to the left, numbers to the right."""
    lines = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[i]) for row in lines) for i in range(len(headings))]
    shown = [
        "| "
        + " | ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in lines
    ]
    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return [shown[0], rule, *shown[1:]]


def steps(results: Results) -> list[str]:
    """How many times as fast as the bare loop."""
    names = list(dict.fromkeys(name for result in results for name in result["values"] if name != "bare"))
    rows = []
    for result in results:
        values = result["values"]
        cells = [str(ratio(values["bare"], values[name])) if name in values else "" for name in names]
        case = f"{result['case']['model']}, {result['case']['batch_size']}"
        rows.append([case, f"{1000 * Spread.of(values['bare']).middle:,.2f}", *cells])
    return table(["model, batch", "bare, ms", *names], rows)


def data_delivery(results: Results) -> list[str]:
    rows = []
    for result in results:
        rates = result["values"]
        for name in rates:
            times = ratio(rates[name], rates["loader"])
            rows.append([f"{result['case']['data']}, {name}", f"{Spread.of(rates[name]).middle:,.0f}", times])
    return table(["data, way", "images a second", "times the loader's"], rows)


def evaluation(results: Results) -> list[str]:
    rows = []
    for result in results:
        table_, encoder, one_pass = (result["values"][name] for name in ("table", "encoder", "one pass"))
        whole = [score + encoding for score, encoding in zip(table_, one_pass, strict=True)]
        seconds = [f"{Spread.of(values).middle:,.2f}" for values in (table_, encoder)]
        rows.append([result["case"]["score"], *seconds, ratio(encoder, table_), ratio(encoder, whole)])
    return table(["score", "from the table, s", "encoding, s", "ratio", "ratio with the pass"], rows)


def step_overhead(results: Results) -> list[str]:
    rows = []
    for result in results:
        own, whole = result["values"]["bare"], result["values"]["train"]
        shares = Spread.of([100 * (1 - a / b) for a, b in zip(own, whole, strict=True)])
        milliseconds = [f"{1000 * Spread.of(values).middle:,.2f}" for values in (own, whole)]
        rows.append([" ".join(result["case"]["overrides"]) or "model=dipvae", *milliseconds, shares])
    return table(["configuration", "bare, ms", "train, ms", "overhead, % of a step"], rows)


def floors(results: Results) -> list[str]:
    """The share of the arithmetic's speed that each way reaches, and the times that are needed at least."""
    rows = []
    for result in results:
        values, rates = result["values"], result["rates"]
        rows.append([f"a step: {result['operations'] / 1e9:.2f} GFLOP, {result['moved'] / 1e6:.0f} MB", "", "", ""])
        for name in rates:
            whole = result["moved" if name == "copy" else "operations"]
            unit = "GB/s" if name == "copy" else "GFLOP/s"
            needed = Spread.of([1000 * whole / rate for rate in values[name]])
            rows.append(
                [f"{name}, {Spread.of(values[name]).middle / 1e9:,.1f} {unit}", f"{needed.middle:,.3f}", "", ""]
            )
        for name in values:
            if name not in rates:
                took = f"{1000 * Spread.of(values[name]).middle:,.3f}"
                of_peak = [
                    result["operations"] / rate / seconds
                    for rate, seconds in zip(values["sgemm"], values[name], strict=True)
                ]
                times = Spread.of([1 / share for share in of_peak])
                rows.append([name, took, times, f"{100 * Spread.of(of_peak).middle:.0f} %"])
    return table(["what", "ms", "times the arithmetic's floor", "of the rate of sgemm"], rows)


def startup(results: Results) -> list[str]:
    rows = []
    for result in results:
        yardstick = result["values"]["import torch"]
        for name, values in result["values"].items():
            rows.append([name, f"{Spread.of(values).middle:.2f}", ratio(values, yardstick)])
    return table(["command", "s", "times import torch"], rows)


def rendering(results: Results) -> list[str]:
    rows = []
    for result in results:
        ours, loop = result["values"]["ours"], result["values"]["plain loop"]
        seconds = [f"{Spread.of(values).middle:,.3f}" for values in (ours, loop)]
        rows.append([result["case"]["what"], *seconds, ratio(loop, ours)])
    return table(["what", "ours, s", "plain loop, s", "times as fast"], rows)
