"""Latents in the hand: `python -m vaezoo.explore run=DIR` writes a page with a slider for each latent.

The page explore.html opens from disk, decodes in the browser and needs no network: docs/explore.md. With `runs=DIR` it
has several models under the same sliders.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.trust import list_trusted
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.runs.files import write_text
from vaezoo.runs.folder import relative_to_cwd
from vaezoo.runs.shared_file import is_unpacked
from vaezoo.runs.start import start_command

if TYPE_CHECKING:
    from vaezoo.api.trained_run import Run

MOST = 8  # models on one page


def explore(config: DictConfig) -> Path:
    """Write the page of a run, or of several, and return its path."""
    check_config(config)
    from vaezoo.exporting.slider_page import check_explorable, write_page

    runs = open_runs(config)
    page = choose_page_file(config, runs[0])
    explored = []
    for run in runs:
        entry = describe(run)
        try:
            check_explorable(entry.model)
        except UserError as refusal:
            if config.run:
                raise
            print(f"left out {relative_to_cwd(run.folder)}: {refusal}")
            continue
        explored.append(entry)
    if not explored:
        raise UserError(f"runs={config.runs}: none of these models has a page of sliders.")
    write_text(page, write_page(explored))
    return page


def open_runs(config: DictConfig) -> list["Run"]:
    """Return the runs that `run=` or `runs=` names. Raises UserError where these are none, or too many."""
    from vaezoo.api.trained_run import load
    from vaezoo.reporting.reading import find_run_folders, format_roots
    from vaezoo.runs.folder import has_checkpoint

    if config.run:
        places = [config.run]
    else:
        roots = [Path(place) for place in ([config.runs] if isinstance(config.runs, str) else config.runs)]
        places = [folder for root in roots for folder in find_run_folders(root.expanduser()) if has_checkpoint(folder)]
        if not places:
            raise UserError(f"runs={format_roots(roots)}: no run with a checkpoint in it or below it.")
        if len(places) > MOST:
            few = ",".join(str(relative_to_cwd(place)) for place in places[:2])
            raise UserError(
                f"runs={format_roots(roots)}: {len(places)} runs, and a page holds at most {MOST}. Name some of them:"
                f" 'runs=[{few}]'."
            )
    trust = list_trusted(config.trust)
    return [load(place, checkpoint=config.checkpoint, device="cpu", trust=trust) for place in places]


def describe(run: "Run") -> Any:
    """Return what the page needs of a run."""
    from vaezoo.exporting.slider_page import Explored
    from vaezoo.reporting.reading import read_json

    about = read_json(run.folder, "metrics.json").get("about", {})
    table = run.latents if (run.folder / "latents.npz").exists() else None
    return Explored(run.model, run.title, table, json.dumps([about.get("dataset"), about.get("data")], sort_keys=True))


def choose_page_file(config: DictConfig, first: "Run") -> Path:
    """Return the path of the page: `out=`, else in the folder of the run or of the study."""
    from vaezoo.reporting.html_tables import SLIDERS

    if config.out:
        page = Path(config.out).expanduser().resolve()
        if page.suffix not in (".html", ".htm") or page.is_dir():
            raise UserError(f"out={config.out}: must be the file of a page, such as explore.html.")
        return page
    if config.run:
        if is_unpacked(first.folder):
            raise UserError(f"run={config.run}: name a place for the page of a shared run, such as out=explore.html.")
        return first.folder / SLIDERS
    return (Path(config.runs).expanduser() if isinstance(config.runs, str) else Path()).resolve() / SLIDERS


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="explore")
def job(config: DictConfig) -> None:
    """Write the page and print its path and size."""
    with command():  # also here, because Hydra would print a traceback
        page = explore(config)
        print(f"page {relative_to_cwd(page)} ({page.stat().st_size / 1e6:.1f} MB)")


def main() -> None:
    """Check the command line before Hydra reads it, then write the page."""
    start_command("explore", job)


if __name__ == "__main__":
    main()
