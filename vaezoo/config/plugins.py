"""Find plug-ins: folders with configuration files of a user's own, and the Python code that these files name.

A plug-in is a folder with the groups of conf/, such as model/ and dataset/. It is found in one of three ways:

    --config-dir DIR, hydra.searchpath=[DIR]    on the command line
    the entry point `vaezoo.plugins`            of an installed package; its value names the package that has conf/

A folder of the command line also brings its code: the folder beside it joins Python's path, or, if that is a package,
the folder that holds the package. Nothing of a plug-in is imported here.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from vaezoo.config import signatures
from vaezoo.config.directory import DIRECTORY
from vaezoo.config.overrides import parse_override
from vaezoo.errors import UserError

ENTRY_POINTS = "vaezoo.plugins"
INSTALLED = "vaezoo-installed"  # the providers of folders in Hydra's search path
NAMED = "vaezoo-folder"
FLAGS = ("--config-dir", "-cd")
SEARCH_PATH = "hydra.searchpath"

named_folders: list[Path] = []  # those of the command line


@cache
def list_installed() -> dict[str, Path]:
    """Return the configuration folder of each installed plug-in, by the name of its package.

    A package without the folder is left out with a line on standard error, because its wheel lacks the files.
    """
    installed = {}
    for name in sorted({point.module for point in entry_points(group=ENTRY_POINTS)}):
        folder = find_package_folder(name)
        conf = folder / "conf" if folder else None
        if conf is not None and conf.is_dir():
            installed[name] = conf.resolve()
        else:
            where = f"no folder {conf}" if conf else f"no package {name}"
            print(f"vaezoo: the plug-in {name} is installed, but there is {where}.", file=sys.stderr)
    return installed


def is_installed(name: str) -> bool:
    """Return whether a package, or something in it, belongs to an installed plug-in."""
    return any(f"{name}.".startswith(f"{package}.") for package in list_installed())


def find_package_folder(name: str) -> Path | None:
    """Return the folder of a package, found by its place, because importing it would run it; None where it has none."""
    file = signatures.find_file(name)
    if file is not None:
        return file.parent if file.name == "__init__.py" else None
    top, *names = name.split(".")
    places = (Path(folder, *names) for folder in signatures.find_folders(top))  # a package without __init__.py
    return next((place for place in places if place.is_dir()), None)


def list_roots() -> list[Path]:
    """Return all configuration folders: that of vaezoo, those of installed plug-ins, those of the command line."""
    return list(dict.fromkeys([Path(DIRECTORY), *list_installed().values(), *named_folders]))


def list_files(folder: str) -> dict[str, Path]:
    """Return the yaml files below a folder of all configuration folders, by their names such as "score/irs"."""
    places = [root / folder for root in list_roots()]
    return {path.relative_to(place).with_suffix("").as_posix(): path for place in places for path in yaml_files(place)}


def yaml_files(folder: Path) -> list[Path]:
    """Return the yaml files below a folder, sorted."""
    return sorted(folder.rglob("*.yaml"))


def use_folders(folders: Sequence[Path]) -> None:
    """Let these folders be the plug-ins of the command line, in place of earlier ones.

    Raises UserError where two files have one name, because Hydra would silently take the first.
    """
    named_folders[:] = [folder.resolve() for folder in folders]
    check_names()
    code = [str(find_code(folder)) for folder in named_folders]
    new = [place for place in code if place not in sys.path]
    if new:
        sys.path += new
        importlib.invalidate_caches()
        signatures.forget_files()


def use_job_folders() -> None:
    """Let the plug-ins of the command line be found in a job, which a launcher may have started elsewhere."""
    use_folders(read_sources(OmegaConf.to_container(HydraConfig.get().runtime.config_sources)))


def read_sources(sources: Any) -> list[Path]:
    """Return the folders of the command line among the sources of a configuration, which Hydra records."""
    if not isinstance(sources, list):
        return []
    named = [source for source in sources if isinstance(source, dict) and source.get("provider") == NAMED]
    return [Path(str(source.get("path"))) for source in named]


def find_code(folder: Path) -> Path:
    """Return the folder from which Python imports the code beside a configuration folder."""
    return next(place for place in folder.parents if not (place / "__init__.py").is_file())


def check_names() -> None:
    """Raise UserError where a plug-in has a file of the name that vaezoo or another plug-in has."""
    owners: dict[str, Path] = {}
    first, *others = list_roots()
    for root in others:
        for path in yaml_files(root):
            name = path.relative_to(root).as_posix()
            owner = first if (first / name).is_file() else owners.setdefault(name, root)
            if owner != root:
                raise UserError(
                    f"{path}: {'vaezoo itself' if owner == first else owner} has a file {name}, too, and only one of"
                    " them would be used. Rename yours."
                )


def take_folders(arguments: Sequence[str]) -> list[str]:
    """Let the folders that a command line names be its plug-ins, and return its other arguments.

    Raises UserError for a folder that does not exist.
    """
    others: list[str] = []
    use_folders([locate(text, option) for option, text in read_folders(arguments, others)])
    return others


def read_folders(arguments: Sequence[str], others: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the folders that a command line names, each with its option; append all other arguments to `others`."""
    words = iter(arguments)
    for word in words:
        option, equals, text = word.partition("=")
        if option in FLAGS:
            yield option, (text if equals else next(words, ""))
        elif option.lstrip("+") == SEARCH_PATH:
            value = parse_override(word).value()
            for folder in value if isinstance(value, list) else [value]:
                yield SEARCH_PATH, str(folder or "")
        else:
            others.append(word)


def locate(text: str, option: str) -> Path:
    """Return the folder that a text of Hydra's search path means. Raises UserError where there is none."""
    if text.startswith("pkg://"):
        top, *names = text.removeprefix("pkg://").replace("/", ".").split(".")
        package = find_package_folder(top)
        folder = package.joinpath(*names) if package else Path(top, *names)
    else:
        folder = Path(os.path.expanduser(text.removeprefix("file://"))).absolute()
    if not text or not folder.is_dir():
        raise UserError(f"{option}={text}: must be a folder that exists, with files such as model/mine.yaml.")
    return folder
