"""The search path of vaezoo's commands: Hydra finds plugins in this package only.

Every program that uses Hydra imports this file when it starts, so that the parts of vaezoo are imported when used.
"""

import sys

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PluginFolders(SearchPathPlugin):
    """Adds the folders of plug-ins to the search path of vaezoo, and to that of no other program."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the configuration folders of installed plug-ins, then those of the command line."""
        directory = sys.modules.get("vaezoo.config.directory")
        main = [element.path for element in search_path.get_path() if element.provider == "main"]
        if directory is None or not any(path.removeprefix("file://") == directory.DIRECTORY for path in main):
            return
        from vaezoo.config import plugins

        for folder in plugins.list_installed().values():
            search_path.append(plugins.INSTALLED, f"file://{folder}")
        for folder in plugins.named_folders:
            search_path.append(plugins.NAMED, f"file://{folder}")
