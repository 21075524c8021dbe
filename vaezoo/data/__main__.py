"""The command `python -m vaezoo.data`: the data sets of conf/dataset, their files, and contact sheets of them."""

import argparse
import inspect
import itertools
import logging
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
from vaezoo.config.plugins import list_files, take_folders
from vaezoo.data.files.find import DataFiles, verify_file
from vaezoo.data.files.lock import find_data_folder
from vaezoo.errors import UserError, command, nearest

if TYPE_CHECKING:
    from vaezoo.data.images import ImageArrays

DESCRIPTION = """\
Data sets and their files. They lie in $VAEZOO_DATA, or else in ~/.cache/vaezoo.

  list                  every data set: its images, whether its files are here, its licence
  fetch NAME...         download what is missing, and check it
  verify NAME...        read all files again and compare their checksums with the published ones
  show NAME             draw a contact sheet, with labels or factors

--config-dir DIR in front of these adds the data sets of a folder of your own.
Options of a data set may follow its name: show digits size=32.
"""
STATUS = "exit status: 0 all is well, 1 something is missing or is not what it should be, 2 wrong usage"


class Dataset(NamedTuple):
    """A data set of conf/dataset with its options."""

    name: str
    description: str  # the comment that its file begins with
    shape: tuple[int, ...]  # (C, H, W), empty where it is not known before a path is given
    classes: int | None
    source: Callable[..., "ImageArrays"]
    options: Mapping[str, Any]  # of the source

    @property
    def files(self) -> DataFiles | None:
        """Return the files that the source reads, None where it does not say."""
        files = getattr(self.source, "files", None)
        return files if files is None or isinstance(files, DataFiles) else files(**self.options)

    def load(self) -> "ImageArrays":
        """Return the images."""
        return self.source(**self.options)


def list_names() -> list[str]:
    """Return the names of all data sets, sorted."""
    return sorted(name for name in list_files("dataset") if "/" not in name)


def compose_dataset(name: str, settings: Sequence[str] = ()) -> Dataset:
    """Return the data set of that name with its `settings`, each key=value without "dataset." in front.

    Raises UserError where there is no such data set, and where a setting is wrong or does not change the images.
    """
    names = list_names()
    if name not in names:
        raise UserError(f"{name}: there is no such data set.{nearest(name, names)} Known: {', '.join(names)}.")
    line = [f"dataset={name}", *(f"dataset.{setting}" for setting in settings)]
    if settings:
        check_command_line("train", line)
    usual = compose_node(line[:1])
    if not isinstance(usual.get("source"), dict):
        raise UserError(f"{name}: it has no source, so that nothing is known about its images (CONTRIBUTING.md).")
    config = compose_node(line) if settings else usual
    source = get_method(usual["source"]["_target_"])
    options = {key: config[key] for key in inspect.signature(source).parameters if key in config}
    for setting in settings:
        if setting.partition("=")[0] not in options:
            raise UserError(f"{setting}: the images do not depend on it. Options of {name}: {', '.join(options)}.")
    return Dataset(name, read_description(name), tuple(config["shape"]), config["classes"], source, options)


def compose_node(line: list[str]) -> Any:
    """Return the node `dataset` of the training configuration for these overrides."""
    with initialize_config_dir(DIRECTORY, version_base="1.3"):
        # Scores and figures are half of a configuration, and no data set depends on them.
        return OmegaConf.to_container(
            compose_or_refuse("train", [*line, "metric=none", "figure=none"]).dataset, resolve=True
        )


def read_description(name: str) -> str:
    """Return the comment that the file of a data set begins with, in one line."""
    lines = list_files("dataset")[name].read_text(encoding="utf-8").splitlines()
    comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.removeprefix("#").strip() for line in comments if "@package" not in line)


def parse_words(words: Sequence[str]) -> Iterator[Dataset]:
    """Yield the data sets named on the command line, each with the settings key=value that follow its name."""
    starts = [i for i, word in enumerate(words) if "=" not in word]
    if starts[:1] != [0]:
        raise UserError(f"'{words[0]}': the name of a data set comes first.")
    for start, end in zip(starts, [*starts[1:], len(words)], strict=True):
        yield compose_dataset(words[start], words[start + 1 : end])


def describe_place(dataset: Dataset) -> str:
    """Return in a few words where the files are, or that they are missing or not needed."""
    files, path = dataset.files, dataset.options.get("path")
    if files is None and "path" in dataset.options:
        return f"your own files: path={path or '...'}"
    if files is None or not files.files:
        return "no files needed"
    counts = {place: len(files.find_in(place)) for place in files.list_places(path)}
    place = max(counts, key=lambda place: counts[place])
    present, needed = counts[place], len(files.files)
    if present == needed:
        where = f"files here: {place}"
    else:
        where = f"{needed - present} of {needed} files missing: {place}" if present else "files missing"
    return f"no files needed; official {where}" if files.optional else where


def print_list() -> int:
    """Print what each data set holds, where its files are, and its licence. Return the exit status."""
    print(f"data folder: {find_data_folder()}\n")
    for name in list_names():
        try:
            dataset = compose_dataset(name)
        except UserError as error:  # A data set of a plug-in may be another thing than ours.
            print(f"{name}\n    {error}")
            continue
        shape = "x".join(map(str, dataset.shape)) or "any size"
        classes = f"{dataset.classes} classes" if dataset.classes else "no classes"
        licence = f"licence: {dataset.files.licence}" if dataset.files else "no licence stated"
        print(f"{name}\n    {dataset.description}\n    {shape} · {classes} · {describe_place(dataset)} · {licence}")
    return 0


def fetch_files(dataset: Dataset) -> None:
    """Download the missing files of a data set, and check all of them."""
    if dataset.files is None or not dataset.files.files:
        print(f"{dataset.name}: {describe_place(dataset)}, nothing to fetch")
        return
    paths = dataset.files.locate(dataset.options.get("path"), download=True)
    check_files(dataset, dataset.files, paths, fresh=False)


def verify_files(dataset: Dataset) -> None:
    """Read and check the files of a data set, or the images of a data set that does without files."""
    files, path = dataset.files, dataset.options.get("path")
    if files is None or not files.files or (files.optional and not any(map(files.find_in, files.list_places(path)))):
        print_identity(dataset)
    else:
        check_files(dataset, files, files.locate(path), fresh=True)


def check_files(dataset: Dataset, files: DataFiles, paths: Mapping[str, Path], fresh: bool) -> None:
    """Compare the checksums of the files at these paths with the published ones, and print them.

    `fresh` reads files whose checksum is remembered, too. Raises UserError for the first file that is another one.
    """
    for file in files.files:
        if (path := paths[file.name]).is_dir():
            print(f"{dataset.name}: {path}: unpacked {file.name}, which is checked where it is read")
            continue
        (algorithm, value), *_ = verify_file(files.dataset, path, file, fresh).items()
        comparison = "as published" if algorithm in file.checksums else "no published checksum is known"
        label = algorithm.upper().replace("PAYLOAD_MD5", "MD5 of what it holds")
        print(f"{dataset.name}: {path}: {label} {value}, {comparison}")
    if fresh and any(path.is_dir() for path in paths.values()):
        print_identity(dataset)


def print_identity(dataset: Dataset) -> None:
    """Print which bytes the images are; loading them checks them."""
    print(f"{dataset.name}: {', '.join(f'{key} {value}' for key, value in dataset.load().identity.items())}")


def draw_sheet(dataset: Dataset, out: Path) -> None:
    """Draw a contact sheet of a data set into the file `out`, and print what the data set holds."""
    # matplotlib takes a second to import, and the other commands do without.
    from vaezoo.figures.contact_sheet import contact_sheet
    from vaezoo.figures.data_sheet import make_sheet
    from vaezoo.figures.style import save

    arrays = dataset.load()
    save(contact_sheet(*make_sheet(arrays)), out)
    sizes = zip(arrays.factor_names, arrays.factor_sizes, strict=True)
    print(f"{dataset.name}: {len(arrays):,} images of {'x'.join(map(str, arrays.shape))}")
    if arrays.factor_names:
        print(f"factors: {', '.join(f'{name} {size}' for name, size in sizes)}")
    if arrays.label_names:
        print(f"labels: {', '.join(arrays.label_names)}")
    print(f"contact sheet: {out}")


def run_each(words: Sequence[str], act: Callable[[Dataset], None], most: int | None = None) -> int:
    """Run `act` for every data set of the command line, also after one that fails. Return the exit status.

    All words are checked before the first data set is used. `most` limits the number of data sets.
    """
    datasets, status = list(parse_words(words)), 0
    if most is not None and len(datasets) > most:
        raise UserError(f"{' '.join(words)}: only {most} data set at a time.")
    for dataset in datasets:
        try:
            act(dataset)
        except UserError as error:
            print(f"vaezoo: {error}", file=sys.stderr)
            status = 1
    return status


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vaezoo.data",
        description=DESCRIPTION,
        epilog=STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="{list,fetch,verify,show}")
    commands.add_parser("list", epilog=STATUS, description="Every data set of conf/dataset.")
    for name, description in (
        ("fetch", "Download what is missing."),
        ("verify", "Read all files again and check them."),
        ("show", "Draw a contact sheet."),
    ):
        command = commands.add_parser(name, epilog=STATUS, description=description)
        command.add_argument("words", nargs="+", metavar="NAME [key=value ...]")
        if name == "show":
            command.add_argument("--out", type=Path, metavar="FILE", help="a PNG file (default: NAME.png)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, which is that of the process by default. Return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with command("the same command goes on with what has arrived"):
        options = make_parser().parse_args(take_folders(sys.argv[1:] if arguments is None else arguments))
        if options.command == "list":
            return print_list()
        if options.command == "show":
            return run_each(
                options.words,
                lambda dataset: draw_sheet(dataset, options.out or Path(f"{dataset.name}.png")),
                most=1,
            )
        return run_each(options.words, fetch_files if options.command == "fetch" else verify_files)
    raise AssertionError("a command returns its status")


if __name__ == "__main__":
    sys.exit(main())
