"""docs/results.md: what the papers say, what our runs say, and which claims held."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from papers.claims import FAILED, HELD, NOT_RUN, UNDECIDED, Claim, Picture, Table, judge, leans
from papers.experiments import SIZES, Experiment, Paper
from papers.records import Record, table
from vaezoo.reporting.summary import Mean, mean

Results = Mapping[tuple[str, str], Sequence[Record]]  # by experiment and size, those that were run
COLUMNS = 9  # of numbers in one table
FOLDED = 12  # rows of numbers from which on they are shown on request

HEAD = """\
# The papers, reproduced

Written by `make results` from the tables in [results/](results), one line a run, and from `papers/`, where the
papers' numbers and claims stand. Do not edit.

**How to read it.** A claim is a quantity, such as the difference of two models' scores with the same seed, and the
region where it should lie. *Held*: the 95 % interval of its mean over seeds (Student's t) lies inside that region.
*Did not hold*: it lies outside. *Undecided*: it reaches across the edge, or there is one seed; what the mean says alone
is added. Numbers of ours are mean ± half of that interval. Theirs are mostly single runs, on machines and with budgets
that are not always known: compare orders and ratios rather than values.

**Sizes.** *small* asks for the direction of a claim, in minutes to an hour on two cores, with less data, smaller
networks or fewer settings: what does not hold there may hold at full size, and the notes say what is different. *paper*
has the paper's own settings and wants a GPU. Any of them is one command, such as `make reproduce-NAME SIZE=small`,
which goes on where it was interrupted. `SIZE=smoke` only tries that all of it runs; its numbers are not kept.
"""


def page(papers: Sequence[Paper], results: Results) -> str:
    parts = [HEAD, summary(papers, results)]
    for paper in papers:
        parts.append(f"## {paper.name}\n\n{paper.about}\n")
        for experiment in paper.experiments:
            own = {size: results.get((experiment.name, size), ()) for size in SIZES}
            parts.append(section(experiment, own))
    return "\n".join(parts)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """A table of Markdown, whose last columns are `numbers`."""
    marks = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    return [f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows)]


# ---- which claims held -------------------------------------------------------------------------------------------


def summary(papers: Sequence[Paper], results: Results) -> str:
    rows = []
    for paper in papers:
        for i, experiment in enumerate(paper.experiments):
            counts = [tally(experiment, size, results.get((experiment.name, size), ())) for size in SIZES]
            told = experiment.title.partition(":")[0]
            rows.append([paper.name if not i else "", f"[{experiment.name}](#{experiment.name})", told, *counts])
    return "\n".join([*grid(["paper", "experiment", "reproduces", *SIZES], rows), ""])


def tally(experiment: Experiment, size: str, records: Sequence[Record]) -> str:
    if not records:
        return NOT_RUN
    found = experiment.with_chosen(table(records))
    counts = Counter(verdict_of(claim, size, found) for claim in experiment.claims_of(size))
    told = [f"{counts[name]} {name}" for name in (HELD, UNDECIDED, FAILED, NOT_RUN) if counts[name]]
    return ", ".join(told)


def verdict_of(claim: Claim | Picture, size: str, found: Table) -> str:
    if isinstance(claim, Claim):
        return judge(claim, found).verdict
    return claim.seen[size].verdict if size in claim.seen else NOT_RUN


# ---- one experiment ----------------------------------------------------------------------------------------------


def section(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> str:
    tables = {size: experiment.with_chosen(table(records)) for size, records in own.items() if records}
    parts = [
        [f"### {experiment.name}"],
        [f"{experiment.title}."],
        sizes(experiment, own),
        claims(experiment, tables),
        *numbers(experiment, tables),
        notes(experiment, own),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def notes(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> list[str]:
    choices = {size: experiment.choices(table(records)) for size, records in own.items()}
    chosen = [f"{size}: {row} is {setting}." for size, found in choices.items() for row, setting in found.items()]
    tried = [f"{size}, tried: {text}" for size, texts in experiment.tried.items() for text in texts]
    return [f"- {note}" for note in (*experiment.notes, *chosen, *tried)]


def sizes(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> list[str]:
    """What makes each size, and what was made."""
    rows = []
    for size, records in own.items():
        command = f"`make reproduce-{experiment.name} SIZE={size}`"
        if records:
            rows.append([size, command, *(made(records))])
        else:
            data = experiment.data.get(size)
            rows.append([size, command, NOT_RUN, f"needs {data}" if data else "", "", "", ""])
    return grid(["size", "command", "runs", "data", "batches", "device", "commit"], rows)


def made(records: Sequence[Record]) -> list[str]:
    seeds = Counter(one.setting for one in records)
    counts = spread([str(count) for count in seeds.values()])
    runs = f"{len(records)}: {len(seeds)} settings, {counts} seed{'s' * (counts != '1')}"
    hours = sum(float(one.about["seconds"] or 0) for one in records) / 3600
    device = ", ".join(different(records, "device"))
    return [
        runs,
        " · ".join(different(records, "data")),
        spread(different(records, "batches")),
        f"{device}; {hours:.2g} h of training" if hours else device,
        " · ".join(f"`{commit}`" for commit in different(records, "commit")),
    ]


def different(records: Sequence[Record], what: str) -> list[str]:
    return sorted({one.about[what] for one in records if one.about[what]})


def spread(counts: Sequence[str]) -> str:
    found = sorted({int(count) for count in counts})
    return " to ".join(f"{count:,}" for count in dict.fromkeys([found[0], found[-1]])) if found else ""


def claims(experiment: Experiment, tables: Mapping[str, Table]) -> list[str]:
    rows = []
    for claim in experiment.claims:
        said = [answer(claim, size, found) for size, found in tables.items()]
        if isinstance(claim, Claim):
            measured = f"{claim.quantity.text}, {claim.region}".replace("*", r"\*")
            theirs = claim.theirs or shown(float(f"{experiment.theirs(claim):.3g}"))
            rows.append([claim.text, measured, theirs, *said])
        else:
            rows.append([claim.text, f"seen in {claim.figure}", "pictures", *said])
    return grid(["claim", "measured", "theirs", *tables], rows)


def answer(claim: Claim | Picture, size: str, found: Table) -> str:
    if claim.only not in ("", size):
        return ""
    if isinstance(claim, Picture):
        seen = claim.seen.get(size)
        return f"**{seen.verdict}**: {seen.text}" if seen else "not looked at"
    judgement = judge(claim, found)
    if judgement.verdict == NOT_RUN:
        lacking = " and ".join(f"{name} of {setting}" for setting, name in judgement.lacking[:2])
        return f"{NOT_RUN}: no {lacking}" if lacking else NOT_RUN
    leaning = ""
    if judgement.verdict == UNDECIDED:
        leaning = f", mean {'for' if leans(judgement.mean, claim) else 'against'} it"
    seeds = "" if judgement.mean.n == len(found) else f" ({judgement.mean.n} of {len(found)} seeds)"
    return f"**{judgement.verdict}**{leaning}: {shown_mean(judgement.mean)}{seeds}"


def numbers(experiment: Experiment, tables: Mapping[str, Table]) -> list[list[str]]:
    """Setting by setting, the paper's numbers beside ours; a wide table is broken between scores."""
    blocks: list[list[list[str]]] = [[]]
    for name in experiment.scores:
        columns = columns_of(experiment, name, tables)
        if blocks[-1] and len(blocks[-1]) + len(columns) > COLUMNS:
            blocks.append([])
        blocks[-1] += columns
    parts = []
    for block in filter(None, blocks):
        heads, *rows = zip(["setting", *experiment.rows], *block, strict=True)
        kept = [row for row in rows if any(row[1:])]
        made = grid([head.replace("*", r"\*") for head in heads], kept, len(block))
        if len(kept) > FOLDED:
            made = [f"<details><summary>Numbers of {len(kept)} settings</summary>", "", *made, "", "</details>"]
        parts.append(made)
    return parts


def columns_of(experiment: Experiment, name: str, tables: Mapping[str, Table]) -> list[list[str]]:
    """Of one score, theirs and ours of each size, each with its head; none without any number."""
    theirs = [shown(experiment.numbers.get(row, {}).get(name, math.nan)) for row in experiment.rows]
    ours = [[shown_mean(mean(values(found, row, name))) for row in experiment.rows] for found in tables.values()]
    called = name.split("/")[1] if name.count("/") == 2 else name  # of an entry of a table
    columns = [[f"{called}, {who}", *cells] for who, cells in zip(["theirs", *tables], [theirs, *ours], strict=True)]
    return [column for column in columns if any(column[1:])]


def values(found: Table, row: str, name: str) -> list[float]:
    return [scores.get(row, {}).get(name, math.nan) for scores in found.values()]


def shown(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def shown_mean(found: Mean) -> str:
    """With the digits that the interval leaves; three where there is none, or only that of rounding."""
    if not found.n:
        return ""
    if not found.half > 1e-9 * abs(found.value):
        return f"{found.value:.3g}"
    decimals = max(0, 1 - math.floor(math.log10(found.half)))
    return f"{found.value:.{decimals}f} ± {found.half:.{decimals}f}"
