"""Many runs on one page: `python -m vaezoo.report runs=multirun/2026-11-21/10-30-00`.

Writes report.html, which needs no other file and can be sent around, report.csv, one row a run, and
report_settings.csv, one row a setting. It reads run folders and needs nothing else: docs/report.md.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.runs.files import write_text
from vaezoo.runs.start import start_command


def list_roots(config: DictConfig) -> list[Path]:
    """Return the folders that `runs=` names."""
    folders = [config.runs] if isinstance(config.runs, str) else list(config.runs)
    return [Path(folder).expanduser().resolve() for folder in folders]


def choose_page_file(config: DictConfig) -> Path:
    """Return the path of the page: `out=`, else inside `runs=`, or in the current folder if that names several."""
    roots = list_roots(config)
    folder = roots[0] if len(roots) == 1 else Path.cwd()
    page = Path(config.out).expanduser().resolve() if config.out else folder / "report.html"
    if page.suffix == ".csv" or page.is_dir():
        raise UserError(f"out={config.out}: must be the file of a page, such as report.html; its tables lie beside it.")
    return page


def make_report(config: DictConfig) -> list[Path]:
    """Write the page and the tables; return their paths."""
    check_config(config)
    from vaezoo.reporting.csv_tables import write_runs_table, write_settings_table
    from vaezoo.reporting.html_page import write_page
    from vaezoo.reporting.report_data import collect_report

    page = choose_page_file(config)
    content = collect_report(config, list_roots(config), page.parent)
    files = [page, page.with_suffix(".csv"), page.with_name(f"{page.stem}_settings.csv")]
    for path, write in zip(files, (write_page, write_runs_table, write_settings_table), strict=True):
        write_text(path, write(content))
    return files


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="report")
def job(config: DictConfig) -> None:
    """Make the report and print the paths of its files."""
    with command():  # also here, because Hydra would print a traceback
        files = make_report(config)
    for name, path in zip(("page", "runs", "settings"), files, strict=True):
        print(f"{name:<9} {path}")


def main() -> None:
    """Check the command line before Hydra reads it, then make the report."""
    start_command("report", job)


if __name__ == "__main__":
    main()
