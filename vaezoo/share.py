"""A run in one file for another person: `python -m vaezoo.share run=DIR to=FILE.zip`, or to=hf://owner/name.

The file holds weights, configuration, scores, pictures and a model card; `vaezoo.load("FILE.zip")` opens it elsewhere,
and `python -m vaezoo.evaluate run=FILE.zip out=FOLDER` scores it: docs/sharing.md.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
from omegaconf import DictConfig

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.trust import list_trusted
from vaezoo.config.values import check_config
from vaezoo.errors import UserError, command
from vaezoo.runs.folder import relative_to_cwd
from vaezoo.runs.start import start_command


def share_run(config: DictConfig) -> list[str]:
    """Write the file of a shared run, and return the lines that say what it holds."""
    check_config(config)
    from vaezoo.reporting.packing import pack_run, write_packed
    from vaezoo.runs import hub

    folder, path = Path(config.run).expanduser().resolve(), Path(config.to).expanduser().resolve()
    on_hub = hub.is_address(config.to)
    if on_hub:
        hub.read_address(config.to)
        hub.import_hub()
    elif path.suffix != ".zip":
        raise UserError(f"to={config.to}: must be the name of a file that ends with .zip, such as {folder.name}.zip.")
    members, left_out = pack_run(
        folder,
        config.to if on_hub else path.name,
        trust=list_trusted(config.trust),
        checkpoint=config.checkpoint,
        latents=config.latents,
        figures=config.figures,
        license=config.license,
    )
    about = [f"holds     {', '.join(members)}", *(f"left out  {reason}" for reason in left_out)]
    if on_hub:
        with TemporaryDirectory(prefix="vaezoo-") as place:
            write_packed(file := Path(place) / hub.FILE, members)
            shown = {name: members[name] for name in members if name == "README.md" or name.startswith("figures/")}
            page = hub.upload(config.to, file, shown)
        return [f"page      {page}", *about, f"open it   vaezoo.load({config.to!r})"]
    write_packed(path, members)
    name, size = str(relative_to_cwd(path)), path.stat().st_size
    return [f"file      {name} ({size / 1e6:.2g} MB)", *about, f"open it   vaezoo.load({name!r})"]


@hydra.main(version_base="1.3", config_path=DIRECTORY, config_name="share")
def job(config: DictConfig) -> None:
    """Write the file and print what it holds."""
    with command():  # also here, because Hydra would print a traceback
        print(*share_run(config), sep="\n")


def main() -> None:
    """Check the command line before Hydra reads it, then share."""
    start_command("share", job)


if __name__ == "__main__":
    main()
