"""What `python -m vaezoo.data` does: the data sets of conf/dataset, their files, and pictures of them."""

import argparse
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra import initialize_config_dir
from hydra.utils import get_method
from omegaconf import OmegaConf

from vaezoo.config.command_line import check_command_line
from vaezoo.config.compose import compose_or_refuse
from vaezoo.config.directory import DIRECTORY
from vaezoo.data.files.find import DataFiles, verify
from vaezoo.data.files.lock import data_folder
from vaezoo.errors import UserError, nearest

if TYPE_CHECKING:
    from vaezoo.data.images import ImageArrays

DESCRIPTION = """\
Data sets and their files. They lie in $VAEZOO_DATA, or else in ~/.cache/vaezoo.

  list                  every data set: its images, whether its files are here, its licence
  fetch NAME...         download what is missing, and check it
  verify NAME...        read all files again and compare their checksums with the published ones
  show NAME             draw a contact sheet, with labels or factors

Options of a data set may follow its name: show digits size=32.
"""
STATUS = "exit status: 0 all is well, 1 something is missing or is not what it should be, 2 wrong usage"


class Dataset(NamedTuple):
    """One file of conf/dataset, composed."""

    name: str
    about: str  # the comment that its file begins with
    shape: tuple[int, ...]
    classes: int | None
    source: Callable[..., "ImageArrays"]
    options: Mapping[str, Any]  # of the source

    @property
    def files(self) -> DataFiles | None:
        """None where the source does not say what it reads."""
        files = getattr(self.source, "files", None)
        return files if files is None or isinstance(files, DataFiles) else files(**self.options)

    def load(self) -> "ImageArrays":
        return self.source(**self.options)


def names() -> list[str]:
    return sorted(path.stem for path in (Path(DIRECTORY) / "dataset").glob("*.yaml"))


def dataset(name: str, settings: Sequence[str] = ()) -> Dataset:
    """`settings` are key=value, without the "dataset." of the training command."""
    if name not in names():
        raise UserError(f"{name}: there is no such data set.{nearest(name, names())} Known: {', '.join(names())}.")
    line = [f"dataset={name}", *(f"dataset.{setting}" for setting in settings)]
    if settings:
        check_command_line("train", line)
    usual, config = composed(line[:1]), composed(line)
    source = get_method(usual["source"]["_target_"])
    options = {key: config[key] for key in inspect.signature(source).parameters if key in config}
    for setting in settings:
        if setting.partition("=")[0] not in options:
            raise UserError(f"{setting}: the images do not depend on it. Options of {name}: {', '.join(options)}.")
    return Dataset(name, about(name), tuple(config["shape"]), config["classes"], source, options)


def composed(line: list[str]) -> Any:
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        return OmegaConf.to_container(compose_or_refuse("train", line).dataset, resolve=True)


def about(name: str) -> str:
    lines = (Path(DIRECTORY) / "dataset" / f"{name}.yaml").read_text().splitlines()
    comments = [line.removeprefix("#").strip() for line in lines[: lines.index("defaults:")] if "@package" not in line]
    return " ".join(filter(None, comments))


def chosen(words: Sequence[str]) -> Iterator[Dataset]:
    """The data sets named on the command line, each with the key=value that follow it."""
    starts = [i for i, word in enumerate(words) if "=" not in word]
    if starts[:1] != [0]:
        raise UserError(f"'{words[0]}': the name of a data set comes first.")
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield dataset(words[start], words[start + 1 : end])


def state(one: Dataset) -> str:
    """Where the files are, in a few words."""
    files, path = one.files, one.options.get("path")
    if files is None and "path" in one.options:
        return f"your own files: path={path or '...'}"
    if files is None or not files.files:
        return "no files needed"
    found = {place: files.found_in(place) for place in files.places(path)}
    best = max(found, key=lambda place: len(found[place]))
    here, all_of_them = len(found[best]), len(files.files)
    if here == all_of_them:
        where = f"files here: {best}"
    else:
        where = "files missing" if not here else f"{all_of_them - here} of {all_of_them} files missing: {best}"
    return f"no files needed; official {where}" if files.optional else where


def show_list() -> int:
    print(f"data folder: {data_folder()}\n")
    for name in names():
        one = dataset(name)
        shape = "x".join(map(str, one.shape)) or "any size"
        classes = f"{one.classes} classes" if one.classes else "no classes"
        licence = f"licence: {one.files.licence}" if one.files else "no licence stated"
        print(f"{name}\n    {one.about}\n    {shape} · {classes} · {state(one)} · {licence}")
    return 0


def fetch(one: Dataset) -> None:
    if one.files is None or not one.files.files:
        print(f"{one.name}: {state(one)}, nothing to fetch")
        return
    check(one, one.files, one.files.locate(one.options.get("path"), download=True), fresh=False)


def verify_afresh(one: Dataset) -> None:
    """The files, or the images themselves of a set that needs none."""
    files, path = one.files, one.options.get("path")
    if files is None or not files.files or (files.optional and not any(map(files.found_in, files.places(path)))):
        tell_identity(one)
    else:
        check(one, files, files.locate(path), fresh=True)


def check(one: Dataset, files: DataFiles, found: Mapping[str, Path], fresh: bool) -> None:
    for file in files.files:
        if (place := found[file.name]).is_dir():
            print(f"{one.name}: {place}: unpacked {file.name}, which is checked where it is read")
            continue
        (algorithm, value), *_ = verify(files.dataset, place, file, fresh).items()
        known = "as published" if algorithm in file.checksums else "no published checksum is known"
        label = algorithm.upper().replace("PAYLOAD_MD5", "MD5 of what it holds")
        print(f"{one.name}: {place}: {label} {value}, {known}")
    if fresh and any(place.is_dir() for place in found.values()):
        tell_identity(one)


def tell_identity(one: Dataset) -> None:
    """Which bytes the images are; reading them is what checks them."""
    print(f"{one.name}: {', '.join(f'{key} {value}' for key, value in one.load().identity.items())}")


def draw(one: Dataset, out: Path) -> None:
    # matplotlib takes a second to import; the other commands do without.
    from vaezoo.figures.contact_sheet import contact_sheet
    from vaezoo.figures.data_sheet import sheet_of
    from vaezoo.figures.style import save

    arrays = one.load()
    save(contact_sheet(*sheet_of(arrays)), out)
    sizes = zip(arrays.factor_names, arrays.factor_sizes, strict=True)
    print(f"{one.name}: {len(arrays):,} images of {'x'.join(map(str, arrays.shape))}")
    if arrays.factor_names:
        print(f"factors: {', '.join(f'{name} {size}' for name, size in sizes)}")
    if arrays.label_names:
        print(f"labels: {', '.join(arrays.label_names)}")
    print(f"contact sheet: {out}")


def each(words: Sequence[str], act: Callable[[Dataset], None], most: int | None = None) -> int:
    """Act on every data set, also after one that fails; the names are looked at before anything is done."""
    sets, status = list(chosen(words)), 0
    if most is not None and len(sets) > most:
        raise UserError(f"{' '.join(words)}: only {most} data set at a time.")
    for one in sets:
        try:
            act(one)
        except UserError as error:
            print(f"vaezoo: {error}", file=sys.stderr)
            status = 1
    return status


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m vaezoo.data",
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = result.add_subparsers(dest="command", required=True, metavar="{list,fetch,verify,show}")
    commands.add_parser("list", epilog=STATUS, description="Every data set of conf/dataset.")
    for name, text in (("fetch", "Download what is missing."), ("verify", "Read all files again and check them.")):
        command = commands.add_parser(name, epilog=STATUS, description=text)
        command.add_argument("words", nargs="+", metavar="NAME [key=value ...]")
    command = commands.add_parser("show", epilog=STATUS, description="Draw a contact sheet.")
    command.add_argument("words", nargs="+", metavar="NAME [key=value ...]")
    command.add_argument("--out", type=Path, metavar="FILE", help="a PNG file (default: NAME.png)")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if given.command == "list":
            return show_list()
        if given.command == "show":
            return each(given.words, lambda one: draw(one, given.out or Path(f"{one.name}.png")), most=1)
        return each(given.words, fetch if given.command == "fetch" else verify_afresh)
    except UserError as error:
        print(f"vaezoo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on with what has arrived", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
