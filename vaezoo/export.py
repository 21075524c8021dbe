"""A trained model for programs without PyTorch: `python -m vaezoo.export run=DIR`.

Writes encoder and decoder as ONNX and all weights as safetensors into the folder `export` of the run, or into `out=`:
docs/export.md.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.trust import list_trusted
from vaezoo.config.values import check_config
from vaezoo.errors import command
from vaezoo.runs.folder import relative_to_cwd
from vaezoo.runs.start import start_command


def export_run(config: DictConfig) -> list[str]:
    """Write the files of a run, and return lines that describe them."""
    check_config(config)
    from vaezoo.api.trained_run import load
    from vaezoo.exporting.export_files import write_export

    run = load(config.run, checkpoint=config.checkpoint, device="cpu", trust=list_trusted(config.trust))
    folder = Path(config.out).expanduser().resolve() if config.out else run.folder / "export"
    return [*write_export(run.model, run.title, folder), f"folder {relative_to_cwd(folder)}"]


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="export")
def job(config: DictConfig) -> None:
    """Export a run and print what was written."""
    with command():  # also here, because Hydra would print a traceback
        print("\n".join(export_run(config)))


def main() -> None:
    """Check the command line before Hydra reads it, then export."""
    start_command("export", job)


if __name__ == "__main__":
    main()
