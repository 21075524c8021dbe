"""Decide what the configuration of a run folder may build, because the folder may be another person's.

A configuration names classes by `_target_`, and Hydra would build and call whatever it names. That of a run folder may
therefore name only what the configuration of vaezoo itself names, and a few more optimisers and schedules of torch and
callbacks of Lightning.
Everything else needs the consent of the user: `trust=my_package`. The file of a run holds values alone, so a resolver
or a reference in it is refused, too.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaezoo.config.directory import DIRECTORY
from vaezoo.config.plugins import list_installed
from vaezoo.errors import UserError, nearest

# Classes that a user may choose although no file of ours does.
LIBRARY_CLASSES = (
    *(f"torch.optim.{name}" for name in ("Adadelta", "Adamax", "NAdam", "RAdam")),
    *(f"torch.optim.lr_scheduler.{name}" for name in ("MultiStepLR", "ConstantLR", "PolynomialLR", "CyclicLR")),
    *(f"torch.optim.lr_scheduler.{name}" for name in ("CosineAnnealingWarmRestarts", "OneCycleLR")),
    *(f"pytorch_lightning.callbacks.{name}" for name in ("ModelCheckpoint", "LearningRateMonitor", "WeightAveraging")),
    *(f"pytorch_lightning.callbacks.{name}" for name in ("ModelSummary", "Timer", "DeviceStatsMonitor")),
)
# Groups whose parts belong to the launching of jobs; no run folder builds them.
NOT_IN_RUNS = ("hydra", "launcher", "sweep")


@cache
def list_own_targets() -> frozenset[str]:
    """Return the dotted names of all classes and functions that a run folder may build without consent.

    The files of an installed plug-in add names within its own package, and no functions of other packages.
    """
    plugins = list_installed().items()
    added = ({name for name in list_targets(conf) if name.startswith(f"{package}.")} for package, conf in plugins)
    return list_targets(Path(DIRECTORY)).union(LIBRARY_CLASSES, *added)


def list_trusted(value: Any) -> list[str]:
    """Return the packages that the key `trust` of a configuration names: none for null, one, or a list of them."""
    return list(value if OmegaConf.is_list(value) else filter(None, [value]))


def list_targets(root: Path) -> frozenset[str]:
    """Return the dotted names of the classes and functions that the files of a configuration folder build."""
    files = [file for file in root.glob("*/**/*.yaml") if file.relative_to(root).parts[0] not in NOT_IN_RUNS]
    texts = (file.read_text(encoding="utf-8") for file in files)
    return frozenset().union(*(re.findall(r"_target_:\s*([\w.]+)", text) for text in texts))


def check_references(config: Any, place: str) -> None:
    """Raise UserError where the configuration of a run folder holds a resolver or a reference.

    `place` names the configuration in messages.
    """
    for key, value in walk(config):
        if "${" in key or (isinstance(value, str) and "${" in value):
            raise UserError(
                f"{place}: {key} has the reference {value!r}. Run folders hold values alone, and nothing in them is"
                " resolved. Write the value itself into the file."
            )


def check_trust(config: Any, place: str, trust: Sequence[str] = (), folders: Sequence[Path] = ()) -> None:
    """Raise UserError where the configuration of a run folder builds what is not on the list.

    `place` names the configuration in messages; `trust` are names of packages, modules or classes that may be built;
    `folders` are those in which the run says that the configuration of its code lies.
    """
    for key, value in walk(config):
        if key.rpartition(".")[2] == "_target_" and not is_trusted(value, trust):
            package = str(value).partition(".")[0]
            places = f" The run took it from {', '.join(map(str, folders))}." if folders else ""
            advice = f"{places} If you know this code and trust it, add trust={package}."
            if package == "vaezoo":  # whose other functions can call anything
                advice = nearest(str(value), list_own_targets())
            raise UserError(f"{place}: {key} is {value!r}, which is not built from a run folder by itself.{advice}")


def name_trusted(config: Any) -> str:
    """Return the option that lets a run of this configuration be read again, such as " trust=my_package", or ""."""
    targets = [value for key, value in walk(config) if key.rpartition(".")[2] == "_target_"]
    packages = sorted({str(target).partition(".")[0] for target in targets if not is_trusted(target, ())})
    if len(packages) < 2:
        return "".join(f" trust={package}" for package in packages)
    return f" 'trust=[{','.join(packages)}]'"


def is_trusted(target: Any, trust: Sequence[str]) -> bool:
    """Return whether a run folder may build the class or function of that dotted name."""
    return isinstance(target, str) and (
        target in list_own_targets() or any(target == name or target.startswith(f"{name}.") for name in trust)
    )


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of all values in nested dictionaries and lists, and the values."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield f"{prefix}{key}", None
            yield from walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
