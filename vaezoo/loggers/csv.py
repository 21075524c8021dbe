"""metrics.csv: every logged value by batch, readable while the run goes on."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaezoo.errors import UserError
from vaezoo.loggers.base import RunLogger
from vaezoo.runs.files import write_whole
from vaezoo.runs.folder import relative_to_cwd


class CSVFile(RunLogger):
    """A table with one row per call of `log_metrics`; its first column is `batches`, and missing values are empty.

    Each row is on disk at once. A new name adds a column, for which the whole file is replaced. A resumed run continues
    the file after `rewind` has removed the rows that are later than its checkpoint.
    """

    name, version = "csv", ""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self.columns = ["batches"]
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
                self.columns = next(csv.reader(file), self.columns)
        if "batches" not in self.columns:
            raise UserError(
                f"{self.path} is damaged: it has no column batches. Without this file, the run begins another."
            )

    def describe(self) -> str:
        return str(relative_to_cwd(self.path))

    def start(self, config: Mapping[str, Any], batches: int = 0) -> None:
        """Remove what a run will log again, also without a checkpoint: a process that was killed may have logged."""
        self.rewind(batches)

    @property
    def rows(self) -> list[dict[str, str]]:
        """Return the rows of the file. They are not held in memory, which would grow with the length of a run."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            # An incomplete row is skipped, because a process may be killed while it writes.
            return [row for row in csv.DictReader(file) if None not in row.values() and row["batches"].isdecimal()]

    def rewind(self, batches: int) -> None:
        """Remove the rows after that batch and the scores at that batch, because they will be logged again."""

        def is_final(row: dict[str, str]) -> bool:
            has_scores = any(value for name, value in row.items() if name.startswith("eval/"))
            return int(row["batches"]) < batches or (int(row["batches"]) == batches and not has_scores)

        if self.path.exists():
            self.write_all([row for row in self.rows if is_final(row)])

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a row; `step` is the number of batches."""
        if not metrics:
            return
        row = {"batches": str(step), **{name: repr(float(value)) for name, value in metrics.items()}}
        new_columns = [name for name in row if name not in self.columns]
        if new_columns or not self.path.exists():
            self.columns += new_columns
            self.write_all([*self.rows, row])
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.columns, restval="", lineterminator="\n").writerow(row)

    def write_all(self, rows: list[dict[str, str]]) -> None:
        """Replace the file by one with these rows."""

        def write(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)

        write_whole(self.path, write)

    def log_figure(self, name: str, path: Path, step: int | None = None) -> None:
        """Do nothing, because the picture is already in figures/."""

    def close(self, exit_code: int = 0) -> str | None:
        """Return None: every row is in the file already."""
        return None
