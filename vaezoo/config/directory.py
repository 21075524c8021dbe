"""Where the configuration lies, and the resolvers that it uses.

Nothing here imports torch: `--cfg job` and a slip on the command line are answered in a second.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaezoo.config.identity import identity
from vaezoo.config.names import job_folder, own_name, study_name

# Inside an installed wheel the configuration travels in the package; in a checkout it lies beside it.
_packaged = Path(__file__).parents[1] / "conf"
DIRECTORY = str(_packaged if _packaged.is_dir() else Path(__file__).parents[2] / "conf")


def call(function: str, *arguments: Any) -> Any:
    """What a function of ours says, such as the shape of the images in a user's file."""
    from hydra.utils import get_method

    return get_method(function)(*arguments)


def choose(key: Any, table: Mapping[Any, Any], default: Any = None) -> Any:
    """What follows from another value: ${choose:${dataset.mode},{rgb:3},1}."""
    return table.get(key, default)


OmegaConf.register_new_resolver("call", call, replace=True)
OmegaConf.register_new_resolver("choose", choose, replace=True)
OmegaConf.register_new_resolver("job_name", lambda *_, _root_: own_name(_root_), replace=True)
OmegaConf.register_new_resolver(
    "job_folder", lambda *_, _root_: job_folder(own_name(_root_), identity(_root_)), replace=True
)
OmegaConf.register_new_resolver("study_name", lambda *_: study_name(), replace=True)
