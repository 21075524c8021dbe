"""Latents in the hand: `python -m vaezoo.explore run=DIR` writes a page with a slider for each latent.

The page explore.html in the folder of the run, or `out=`, opens from disk, decodes in the browser and needs no network:
docs/explore.md.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from vaezoo.config.command_line import check_command_line
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import quote_paths, read_run, read_trust
from vaezoo.config.plugins import take_folders
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.runs.files import write_text
from vaezoo.runs.folder import relative_to_cwd, use_recorded_folders


def explore_run(config: DictConfig) -> Path:
    """Write the page of a run, and return its path."""
    check_config(config)
    from vaezoo.api.trained_run import load
    from vaezoo.exporting.slider_page import Explored, write_page

    trust = config.trust if OmegaConf.is_list(config.trust) else filter(None, [config.trust])
    run = load(config.run, checkpoint=config.checkpoint, device="cpu", trust=list(trust))
    page = Path(config.out).expanduser().resolve() if config.out else run.folder / "explore.html"
    if page.is_dir():
        raise UserError(f"out={config.out}: must be the file of a page, such as explore.html.")
    table = run.latents if (run.folder / "latents.npz").exists() else None
    write_text(page, write_page([Explored(run.model, run.title, table)]))
    return page


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="explore")
def job(config: DictConfig) -> None:
    """Write the page and print its path and size."""
    with command():  # also here, because Hydra would print a traceback
        page = explore_run(config)
        print(f"page {relative_to_cwd(page)} ({page.stat().st_size / 1e6:.1f} MB)")


def main() -> None:
    """Check the command line before Hydra reads it, then write the page."""
    with command():
        sys.argv[1:] = take_folders(quote_paths(sys.argv[1:]))
        if folder := read_run(sys.argv[1:]):
            use_recorded_folders(folder, read_trust(sys.argv[1:]))
        check_command_line("explore", sys.argv[1:])
        job()


if __name__ == "__main__":
    main()
