"""Pack a run for another person: weights, configuration, scores and pictures in one file, and a model card.

What belongs to one machine or one person stays behind: absolute paths, loggers, launchers, the command line, the list
of installed packages, changes of the code. Optimisers stay behind, too, so that a shared run is not trained further.
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from vaezoo.config.overrides import leaves
from vaezoo.config.secrets import check_secret, hide_secrets
from vaezoo.errors import UserError
from vaezoo.evaluation import records
from vaezoo.evaluation.table import fingerprint
from vaezoo.evaluation.trained_model import build_trained, calibrate
from vaezoo.evaluation.verdict import describe_scores
from vaezoo.loggers.base import has_public_data
from vaezoo.models.base import LatentModel
from vaezoo.reporting.model_card import write_card
from vaezoo.reporting.reading import read_json
from vaezoo.runs.files import to_plain, write_whole
from vaezoo.runs.folder import (
    CONFIG,
    DONE,
    EARLY_STOP,
    MAX_HISTORY_BYTES,
    WEIGHTS,
    load_config,
    read_config,
    read_history,
)
from vaezoo.runs.limits import UNREADABLE, read_bytes
from vaezoo.runs.shared_file import CARD, MAX_BYTES, PICTURE, list_members
from vaezoo.runs.weights import BATCH_NORMS

# The packages that numbers depend on. Others are left out, because their names may be private.
PACKAGES = ("vaezoo", "torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn", "hydra-core", "omegaconf")
FACTS = ("seed", "data", "device", "python", "processors", "started")  # entries of environment.json that are shared
# A path of two parts at least within a text, such as /home/me/x.npz; the slashes of mean/std and of URLs are none.
INNER_PATH = re.compile(r"(?<![\w.:/~\\-])(?:/[\w.@+=-]+)+/([\w.@+=-]+)")


class Packed(NamedTuple):
    """What was packed, and what was left behind with the reason."""

    members: Mapping[str, bytes]  # by their names in the file
    left_out: Sequence[str]


def pack_run(
    folder: Path,
    name: str,
    *,
    trust: Sequence[str] = (),
    checkpoint: str = "last",
    latents: bool = False,
    figures: bool | None = None,
    license: str | None = None,
) -> Packed:
    """Return the members of the file of a shared run; `name` is how the model card calls the file.

    Scores, pictures and latents are those of the weights, or they are left out. `figures` None packs pictures unless
    they show a user's own data. Raises UserError where the run cannot be read.
    """
    config = load_config(folder, trust)
    model = build_trained(config, folder, checkpoint)
    weights = copy_tensors(model)
    members = {str(WEIGHTS): dump_tensors(weights)}
    if model.recalibrates:
        calibrate(model, config, folder)
        norms = {key: value for key, value in copy_tensors(model).items() if not value.equal(weights[key])}
        members[str(BATCH_NORMS)] = dump_tensors(norms)
    homes = {str(folder): ".", str(read_config(folder)["folder"]): ".", str(Path.home()): "~"}
    shared_config = remove_paths(select_config(config), homes)
    members[str(CONFIG)] = OmegaConf.to_yaml(OmegaConf.create(shared_config)).encode()
    texts = {
        "environment.json": select_environment(read_file(folder, "environment.json")),
        **{str(path): read_file(folder, str(path)) for path in (DONE, EARLY_STOP)},
    }
    if history := read_bytes(folder, "metrics.csv", MAX_HISTORY_BYTES):
        members["metrics.csv"] = history
    left_out: list[str] = []
    scores, pictures = records.read(folder, fingerprint(weights)), {}
    if not scores.values:
        left_out.append("scores and pictures: there are none of these weights; python -m vaezoo.evaluate makes them")
    else:
        texts["metrics.json"] = read_file(folder, "metrics.json")
        arrays = ["metrics.npz", *(["latents.npz"] if latents else [])]
        members |= {file: content for file in arrays if (content := read_bytes(folder, file, MAX_BYTES))}
        if latents and "latents.npz" not in members:
            left_out.append("latents: the run has no latents.npz")
        if figures is None:
            figures = has_public_data(shared_config)
            left_out += [] if figures else ["pictures: they show your own data; figures=true packs them"]
        pictures = read_pictures(folder) if figures else {}
    texts = {file: remove_paths(content, homes) for file, content in texts.items() if content}
    members |= {file: (json.dumps(to_plain(content), indent=2) + "\n").encode() for file, content in texts.items()}
    sentences = describe_scores(scores, read_history(folder))
    environment = texts.get("environment.json", {})
    card = write_card(model, shared_config, environment, scores, sentences, list(pictures), name, license)
    return Packed({str(CARD): card.encode(), **members, **pictures}, left_out)


def write_packed(path: Path, members: Mapping[str, bytes]) -> None:
    """Write the file of a shared run; equal members make equal files.

    Raises UserError where the path holds another file, which would be lost.
    """
    if path.exists():
        try:
            list_members(path)
        except UNREADABLE:
            raise UserError(f"to={path}: exists and is not the file of a shared run. Choose another name.") from None

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in members.items():
                member = zipfile.ZipInfo(name)  # with the date 1980-01-01
                member.external_attr = 0o644 << 16
                member.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(member, content, compresslevel=9)

    write_whole(path, write)


def copy_tensors(model: LatentModel) -> dict[str, Tensor]:
    """Return the tensors of a model by name, on the CPU, each with memory of its own."""
    return {name: value.detach().cpu().clone().contiguous() for name, value in model.state_dict().items()}


def dump_tensors(tensors: dict[str, Tensor]) -> bytes:
    """Return tensors in the format of safetensors."""
    from safetensors.torch import save

    content: bytes = save(tensors, metadata={"format": "pt"})
    return content


def read_file(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of a JSON file of a run, {} without one. Raises UserError where it is damaged."""
    try:
        return read_json(folder, name)
    except UserError:
        raise
    except UNREADABLE as damage:
        raise UserError(f"{folder}: {damage}. Remove the file, and the run is shared without it.") from None


def read_pictures(folder: Path) -> dict[str, bytes]:
    """Return the pictures of a run by their names in the file; those made during the training are left out."""
    paths = sorted(path for kind in ("png", "gif") for path in (folder / "figures").glob(f"*.{kind}"))
    names = [f"figures/{path.name}" for path in paths]
    names = [name for name in names if PICTURE.fullmatch(name)]
    return {name: content for name in names if (content := read_bytes(folder, name, MAX_BYTES))}


def select_config(config: DictConfig) -> dict[str, Any]:
    """Return the configuration of a run as another person needs it. Raises UserError where it holds a secret."""
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    for key, value in leaves(values):
        check_secret(key, value)
    del values["launcher"]  # which holds accounts and commands of a cluster; a reader gets the default
    if "path" in values["dataset"]:
        values["dataset"]["path"] = None
    return {**values, "logger": {}}


def select_environment(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the numbers of a run depend on, in the form of environment.json."""
    if not environment:
        return {}
    git, packages = environment.get("git") or {}, environment.get("packages", {})
    return {
        **{name: environment[name] for name in FACTS if name in environment},
        "platform": str(environment.get("platform", "")).partition("-")[0],
        "packages": {name: packages[name] for name in PACKAGES if name in packages},
        "origins": {},
        "git": {"commit": git["commit"], "changed": git["changed"], "diff": ""} if git else None,
    }


def remove_paths(value: Any, homes: Mapping[str, str]) -> Any:
    """Return nested values with absolute paths shortened: those below one of `homes` begin with its name instead.

    Of any other path the last part is left.
    """
    if isinstance(value, dict):
        return {key: remove_paths(item, homes) for key, item in value.items()}
    if isinstance(value, list):
        return [remove_paths(item, homes) for item in value]
    if not isinstance(value, str):
        return value
    for home, name in homes.items():
        if len(home) > 1:
            value = re.sub(rf"{re.escape(home)}(?=\W|$)", name, value)
    if value.startswith("~") or PurePosixPath(value).is_absolute() or PureWindowsPath(value).is_absolute():
        return PureWindowsPath(value).name  # which knows both kinds of slashes
    return hide_secrets([INNER_PATH.sub(r"\1", value)])[0]
