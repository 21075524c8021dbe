"""Find the folder of the configuration, and register the resolvers that its files use.

Nothing here imports torch, so that `--cfg job` and a slip on the command line are answered in a second.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vaezoo.config.identity import hash_training
from vaezoo.config.names import make_new_folder, name_current_job, name_current_study, name_job_folder

# A wheel has the configuration within the package; a checkout has it beside the package.
_packaged = Path(__file__).parents[1] / "conf"
DIRECTORY = str(_packaged if _packaged.is_dir() else Path(__file__).parents[2] / "conf")


def call(function: str, *arguments: Any) -> Any:
    """Return the result of the function of that dotted name, such as the shape of the images in a file of the user."""
    from hydra.utils import get_method

    return get_method(function)(*arguments)


def choose(key: Any, table: Mapping[Any, Any], default: Any = None) -> Any:
    """Return the entry of a table that another value selects: ${choose:${dataset.mode},{rgb:3},1}."""
    return table.get(key, default)


OmegaConf.register_new_resolver("call", call, replace=True)
OmegaConf.register_new_resolver("choose", choose, replace=True)
OmegaConf.register_new_resolver("job_name", lambda *_, _root_: name_current_job(_root_), replace=True)
OmegaConf.register_new_resolver(
    "job_folder",
    lambda *_, _root_: name_job_folder(name_current_job(_root_), hash_training(_root_)),
    replace=True,
)
# Cached, because a folder is made each time.
OmegaConf.register_new_resolver("new_folder", make_new_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("study_name", lambda *_: name_current_study(), replace=True)
