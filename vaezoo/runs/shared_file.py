"""Open the file of a shared run, which `python -m vaezoo.share` wrote, perhaps on another person's machine.

It is a zip archive that holds a run folder: weights without optimisers, configuration, scores and pictures. It is
unpacked into a temporary folder of this process, after its members were checked, and nothing in it is executed.
"""

import re
import shutil
import stat
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from vaezoo.errors import UserError
from vaezoo.runs.folder import CONFIG, DONE, EARLY_STOP, WEIGHTS
from vaezoo.runs.hub import download, is_address
from vaezoo.runs.limits import UNREADABLE, check_archive, check_claim, require_file
from vaezoo.runs.weights import BATCH_NORMS

CARD = Path("README.md")  # the model card
MEMBERS = (
    *(CARD, CONFIG, WEIGHTS, BATCH_NORMS, DONE, EARLY_STOP),
    *map(Path, ("environment.json", "metrics.json", "metrics.csv", "metrics.npz", "latents.npz")),
)
PICTURE = re.compile(r"figures/\w[\w .,+=()-]*\.(png|gif)")
FOLDERS = ("figures/", ".hydra/")  # entries of archives that other programs made from an unpacked run
MAX_BYTES = 2**32  # of a file and of what it holds

# Run folders that this process has unpacked, by path, time of change and size of their files; removed when it ends.
_unpacked: dict[tuple[Path, int, int], tuple[Path, "TemporaryDirectory[str]"]] = {}


def open_folder(place: str | Path) -> Path:
    """Return the run folder at a place as an absolute path; the file of a shared run is unpacked first.

    The place may be an address on the hub (vaezoo.runs.hub). Raises UserError for a file that is not one of a shared
    run, or that is damaged.
    """
    path = (download(str(place)) if is_address(place) else Path(place).expanduser()).resolve()
    if not path.is_file():
        return path
    status = path.stat()
    key = (path, status.st_mtime_ns, status.st_size)
    if key not in _unpacked:
        keeper = TemporaryDirectory(prefix="vaezoo-")
        folder = Path(keeper.name).resolve() / str(place).rpartition("/")[2]  # Messages show the name of the file.
        unpack(path, folder)
        _unpacked[key] = folder, keeper
    return _unpacked[key][0]


def is_unpacked(folder: Path) -> bool:
    """Return whether the folder is a temporary one, into which this process has unpacked a shared run."""
    return any(folder == unpacked for unpacked, _ in _unpacked.values())


def unpack(path: Path, folder: Path) -> None:
    """Write the members of the file of a shared run into a new folder.

    Raises UserError where a member is not one of a shared run, is a link, or claims too much.
    """
    try:
        members = list_members(path)
        folder.mkdir()
        with zipfile.ZipFile(path) as archive:
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(exist_ok=True)
                # The archive gives at most the bytes that the member claims, and an error where they differ from it.
                with archive.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except UserError:
        raise
    except UNREADABLE as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UserError(f"{path} cannot be read, it is damaged or not the file of a shared run ({reason}).") from None


def list_members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the checked members of the file of a shared run.

    Raises UserError as `unpack` does, and zipfile.BadZipFile for another file.
    """
    require_file(path, MAX_BYTES)
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename not in FOLDERS]
    names = [member.filename for member in members]
    if wrong := next((name for name in names if not is_member(name)), None):
        raise UserError(f"{path} is not the file of a shared run: it holds {wrong!r}, which is not a part of one.")
    if len({name.casefold() for name in names}) < len(names):
        raise UserError(f"{path} holds two members of the same name. It is damaged, and not read.")
    if missing := next((str(name) for name in (CONFIG, WEIGHTS) if str(name) not in names), None):
        raise UserError(f"{path} is not the file of a shared run: it lacks {missing}.")
    for member in members:
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise UserError(f"{member.filename} in {path} is a link or another special file, and is not unpacked.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise UserError(f"{member.filename} in {path} is encrypted or packed in a way that is not read.")
    stored, claimed = (sum(getattr(member, size) for member in members) for size in ("compress_size", "file_size"))
    if stored > path.stat().st_size:
        raise UserError(f"{path} has members that share their bytes. It is damaged, and not read.")
    check_claim(str(path), claimed, stored)
    if claimed > MAX_BYTES:
        raise UserError(f"{path} holds {claimed:,} bytes, expected at most {MAX_BYTES:,}. It is not read.")
    return members


def is_member(name: str) -> bool:
    """Return whether the file of a shared run may have a member of that name."""
    return name in map(str, MEMBERS) or PICTURE.fullmatch(name) is not None
