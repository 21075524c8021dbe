"""Format docs/results.md: the numbers of the papers, those of our runs, and which claims held."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from papers.claims import FAILED, HELD, NOT_RUN, UNDECIDED, Claim, Picture, Table, is_in_region, judge
from papers.experiments import SIZES, Experiment, Paper
from papers.records import Record, group_by_seed
from vaezoo.reporting.summary import Mean, mean

Results = Mapping[tuple[str, str], Sequence[Record]]  # by experiment and size
COLUMNS = 9  # the most columns of numbers in one table
FOLDED = 12  # tables of numbers with more rows than this are folded

HEAD = """\
# The papers, reproduced

Written by `make results` from the tables in [results/](results), one line a run, and from `papers/`, where the
papers' numbers and claims stand. Do not edit.

**How to read it.** A claim is a quantity, such as the difference of two models' scores with the same seed, and the
region where it should lie. *Held*: the 95 % interval of its mean over seeds (Student's t) lies inside that region.
*Did not hold*: it lies outside. *Undecided*: it reaches across the edge, or there is one seed, of pictures, too; what
the mean says alone is added. A claim of ours is one that the paper does not make: it is judged, and counted nowhere.
Numbers of ours are mean ± half of that interval. Theirs are mostly single runs, on machines and with budgets that are
not always known: compare orders and ratios rather than values.

**Sizes.** *small* asks for the direction of a claim, in minutes to an hour on two cores, with less data, smaller
networks or fewer settings: what does not hold there may hold at full size, and the notes say what is different. *paper*
has the paper's own settings and wants a GPU. Any of them is one command, such as `make reproduce-NAME SIZE=small`,
which goes on where it was interrupted. `SIZE=smoke` only tries that all of it runs; its numbers are not kept.
"""


def format_page(papers: Sequence[Paper], results: Results) -> str:
    """Return the page."""
    parts = [HEAD, format_counts(papers, results), format_summary(papers, results)]
    for paper in papers:
        parts.append(f"## {paper.name}\n\n{paper.about}\n")
        for experiment in paper.experiments:
            own = {size: results.get((experiment.name, size), ()) for size in SIZES}
            parts.append(format_experiment(experiment, own))
    return "\n".join(parts)


def format_table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """Return the lines of a Markdown table; its last `numbers` columns are aligned to the right."""
    marks = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    return [f"| {' | '.join(cells)} |" for cells in (heads, marks, *rows)]


# ---- which claims held -------------------------------------------------------------------------------------------


# The kinds of verdicts that are counted, and what stands in the way of a better one.
COUNTED = ("held", "held on other data", "undecided: one seed", "undecided: spread of seeds", FAILED, NOT_RUN)


def format_counts(papers: Sequence[Paper], results: Results) -> str:
    """Return how many claims of each paper have each verdict in the small size, and how many paper sizes were run."""
    rows = []
    for paper in papers:
        counts: Counter[str] = Counter()
        for experiment in paper.experiments:
            records = results.get((experiment.name, "small"), ())
            table = experiment.add_best_rows(group_by_seed(records)) if records else {}
            counts.update(name_kind(claim, experiment, table) for claim in experiment.select_claims("small"))
        run = sum((experiment.name, "paper") in results for experiment in paper.experiments)
        cells = [str(counts[kind] or "") for kind in COUNTED]
        rows.append([paper.name, *cells, f"{run} of {len(paper.experiments)}"])
    text = "**Claims of the papers in the small size**, and how many experiments were run in the size of the paper:"
    heads = ["paper", *COUNTED, "paper sizes run"]
    return "\n".join([text, "", *format_table(heads, rows, len(heads) - 1), ""])


def name_kind(claim: Claim | Picture, experiment: Experiment, table: Table) -> str:
    """Return the kind of a verdict in the small size, one of COUNTED."""
    verdict = find_verdict(claim, "small", table) if table else NOT_RUN
    if verdict == HELD and experiment.substitute:
        return "held on other data"
    if verdict == UNDECIDED:
        is_one = len(table) == 1 or (isinstance(claim, Claim) and judge(claim, table).mean.n == 1)
        return "undecided: one seed" if is_one else "undecided: spread of seeds"
    return verdict


def format_summary(papers: Sequence[Paper], results: Results) -> str:
    """Return the table of all experiments and the numbers of their claims that held."""
    rows = []
    for paper in papers:
        for i, experiment in enumerate(paper.experiments):
            counts = [count_verdicts(experiment, size, results.get((experiment.name, size), ())) for size in SIZES]
            reproduces = experiment.title.partition(":")[0]
            rows.append([paper.name if not i else "", f"[{experiment.name}](#{experiment.name})", reproduces, *counts])
    return "\n".join([*format_table(["paper", "experiment", "reproduces", *SIZES], rows), ""])


def count_verdicts(experiment: Experiment, size: str, records: Sequence[Record]) -> str:
    """Return how many claims have each verdict, such as "2 held, 1 undecided"."""
    if not records:
        return NOT_RUN
    table = experiment.add_best_rows(group_by_seed(records))
    counts = Counter(find_verdict(claim, size, table) for claim in experiment.select_claims(size))
    text = ", ".join(f"{counts[name]} {name}" for name in (HELD, UNDECIDED, FAILED, NOT_RUN) if counts[name])
    return f"{text} ({experiment.substitute})" if size == "small" and experiment.substitute else text


def find_verdict(claim: Claim | Picture, size: str, table: Table) -> str:
    """Return the verdict on a claim in one size."""
    if isinstance(claim, Claim):
        return judge(claim, table).verdict
    if size not in claim.observations:
        return NOT_RUN
    return UNDECIDED if len(table) == 1 else claim.observations[size].verdict


# ---- one experiment ----------------------------------------------------------------------------------------------


def format_experiment(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> str:
    """Return the section of an experiment; `own` has its records by size."""
    tables = {size: experiment.add_best_rows(group_by_seed(records)) for size, records in own.items() if records}
    parts = [
        [f"### {experiment.name}"],
        [f"{experiment.title}."],
        format_sizes(experiment, own),
        format_claims(experiment, tables),
        *format_numbers(experiment, tables),
        format_notes(experiment, own),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def format_notes(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return the notes of an experiment, the settings of its best rows, and what else was tried."""
    best = {size: experiment.find_best_settings(group_by_seed(records)) for size, records in own.items()}
    best_rows = [f"{size}: {row} is {setting}." for size, rows in best.items() for row, setting in rows.items()]
    tried = [f"{size}, tried: {text}" for size, texts in experiment.tried.items() for text in texts]
    return [f"- {note}" for note in (*experiment.notes, *best_rows, *tried)]


def format_sizes(experiment: Experiment, own: Mapping[str, Sequence[Record]]) -> list[str]:
    """Return the table of the sizes: the command of each, and the runs that it has."""
    rows = []
    for size, records in own.items():
        command = f"`make reproduce-{experiment.name} SIZE={size}`"
        if records:
            rows.append([size, command, *describe_runs(records)])
        else:
            data = experiment.data.get(size)
            rows.append([size, command, NOT_RUN, f"needs {data}" if data else "", "", "", ""])
    return format_table(["size", "command", "runs", "data", "batches", "device", "commit"], rows)


def describe_runs(records: Sequence[Record]) -> list[str]:
    """Return the cells of a row about runs: their number, data, batches, device and commits."""
    seeds = Counter(record.setting for record in records)
    counts = format_range([str(count) for count in seeds.values()])
    runs = f"{len(records)}: {len(seeds)} settings, {counts} seed{'s' * (counts != '1')}"
    hours = sum(float(record.about["seconds"] or 0) for record in records) / 3600
    device = ", ".join(list_values(records, "device"))
    return [
        runs,
        " · ".join(list_values(records, "data")),
        format_range(list_values(records, "batches")),
        f"{device}; {hours:.2g} h of training" if hours else device,
        " · ".join(f"`{commit}`" for commit in list_values(records, "commit")),
    ]


def list_values(records: Sequence[Record], name: str) -> list[str]:
    """Return the different values that records have of an entry of `about`, sorted."""
    return sorted({record.about[name] for record in records if record.about[name]})


def format_range(counts: Sequence[str]) -> str:
    """Return the range of counts, such as "3 to 5"; "3" if all are equal."""
    numbers = sorted({int(count) for count in counts})
    return " to ".join(f"{number:,}" for number in dict.fromkeys([numbers[0], numbers[-1]])) if numbers else ""


def format_claims(experiment: Experiment, tables: Mapping[str, Table]) -> list[str]:
    """Return the table of claims with their verdicts; `tables` has the scores of each size."""
    rows = []
    for claim in experiment.claims:
        verdicts = [format_verdict(claim, size, table) for size, table in tables.items()]
        if isinstance(claim, Claim):
            measured = f"{claim.quantity.text}, {claim.region}".replace("*", r"\*")
            theirs = claim.theirs or format_number(float(f"{experiment.theirs(claim):.3g}"))
        else:
            measured, theirs = f"seen in {claim.figure}", "pictures"
        rows.append([claim.text, measured, "a claim of ours" if claim.is_ours else theirs, *verdicts])
    return format_table(["claim", "measured", "theirs", *tables], rows)


def format_verdict(claim: Claim | Picture, size: str, table: Table) -> str:
    """Return the verdict on a claim in one size, with the number or the observation that it rests on."""
    if claim.only not in ("", size):
        return ""
    if isinstance(claim, Picture):
        observation = claim.observations.get(size)
        if observation is None:
            return "not looked at"
        verdict = find_verdict(claim, size, table)
        leaning = "" if verdict == observation.verdict else f", this one seed: {observation.verdict}"
        return f"**{verdict}**{leaning}: {observation.text}"
    judgement = judge(claim, table)
    if judgement.verdict == NOT_RUN:
        lacking = " and ".join(f"{name} of {setting}" for setting, name in judgement.lacking[:2])
        return f"{NOT_RUN}: no {lacking}" if lacking else NOT_RUN
    leaning = ""
    if judgement.verdict == UNDECIDED:
        leaning = f", mean {'for' if is_in_region(judgement.mean, claim) else 'against'} it"
    seeds = "" if judgement.mean.n == len(table) else f" ({judgement.mean.n} of {len(table)} seeds)"
    return f"**{judgement.verdict}**{leaning}: {format_mean(judgement.mean)}{seeds}"


def format_numbers(experiment: Experiment, tables: Mapping[str, Table]) -> list[list[str]]:
    """Return tables of the paper's numbers beside ours, a row for each setting; wide ones are split between scores."""
    blocks: list[list[list[str]]] = [[]]
    for name in experiment.scores:
        columns = list_columns(experiment, name, tables)
        if blocks[-1] and len(blocks[-1]) + len(columns) > COLUMNS:
            blocks.append([])
        blocks[-1] += columns
    parts = []
    for block in filter(None, blocks):
        heads, *rows = zip(["setting", *experiment.rows], *block, strict=True)
        filled = [row for row in rows if any(row[1:])]
        lines = format_table([head.replace("*", r"\*") for head in heads], filled, len(block))
        if len(filled) > FOLDED:
            lines = [f"<details><summary>Numbers of {len(filled)} settings</summary>", "", *lines, "", "</details>"]
        parts.append(lines)
    return parts


def list_columns(experiment: Experiment, name: str, tables: Mapping[str, Table]) -> list[list[str]]:
    """Return the columns of a score that have numbers, each with its head: the paper's, then ours in each size."""
    theirs = [format_number(experiment.numbers.get(row, {}).get(name, math.nan)) for row in experiment.rows]
    ours = [[format_mean(mean(list_scores(table, row, name))) for row in experiment.rows] for table in tables.values()]
    label = name.split("/")[1] if name.count("/") == 2 else name  # an entry of a table is named by its row
    columns = [[f"{label}, {who}", *cells] for who, cells in zip(["theirs", *tables], [theirs, *ours], strict=True)]
    return [column for column in columns if any(column[1:])]


def list_scores(table: Table, row: str, name: str) -> list[float]:
    """Return a score of a row in each seed; NaN for seeds without it."""
    return [scores.get(row, {}).get(name, math.nan) for scores in table.values()]


def format_number(value: float) -> str:
    """Return a number with six digits; "" if it is not finite."""
    return f"{value:.6g}" if math.isfinite(value) else ""


def format_mean(measured: Mean) -> str:
    """Return a mean with its interval, to two digits of the interval; to three digits if it has none."""
    if not measured.n:
        return ""
    if not measured.half > 1e-9 * abs(measured.value):  # no interval, or one of rounding errors alone
        return f"{measured.value:.3g}"
    decimals = max(0, 1 - math.floor(math.log10(measured.half)))
    return f"{measured.value:.{decimals}f} ± {measured.half:.{decimals}f}"
