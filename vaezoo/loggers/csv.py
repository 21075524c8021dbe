"""metrics.csv: every logged value by batch count, readable while the run goes on."""

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from vaezoo.runs import write_whole


class CSVFile(Logger):
    """One row each time something is logged, the first column `batches`; a value that was not logged is empty.

    Rows are flushed as they come. A new name adds a column, for which the file is written anew beside and renamed. A
    resumed run continues the file: rows later than the batch of its checkpoint are dropped first (`rewind`).
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.columns = ["batches"]
        if self.path.exists():
            with self.path.open(newline="") as file:
                self.columns = next(csv.reader(file), self.columns)

    @property
    def rows(self) -> list[dict[str, str]]:
        """What the file holds; kept there alone, so that the memory of a long run does not grow with it."""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            # A process killed while writing may leave half a row.
            return [row for row in csv.DictReader(file) if None not in row.values() and row["batches"].isdigit()]

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def rewind(self, batches: int) -> None:
        """Forget what was logged after that batch, and its scores: they come again."""

        def lasting(row: dict[str, str]) -> bool:
            scores = any(value for name, value in row.items() if name.startswith("eval/"))
            return int(row["batches"]) < batches or (int(row["batches"]) == batches and not scores)

        if self.path.exists():
            self.write_all([row for row in self.rows if lasting(row)])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if not metrics:
            return
        row = {"batches": str(step), **{name: repr(float(value)) for name, value in metrics.items()}}
        new = [name for name in row if name not in self.columns]
        if new or not self.path.exists():
            self.columns += new
            self.write_all([*self.rows, row])
        else:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(row)

    def write_all(self, rows: list[dict[str, str]]) -> None:
        def write(path: Path) -> None:
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)

        write_whole(self.path, write)

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """The picture itself is already in figures/."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The configuration itself is already in .hydra/config.yaml."""
