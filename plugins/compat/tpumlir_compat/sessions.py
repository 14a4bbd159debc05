"""Sessions of these commands: there is no flag for files of plugins, but the variable that ``tpumlir`` takes them from."""

from __future__ import annotations

import os
from pathlib import Path

from tpumlir_core.plugins import PluginManager
from tpumlir_core.stages import Session

PLUGIN_FILES_VARIABLE = "TPUMLIR_PLUGIN_FILES"


def open_session() -> Session:
    """With the installed plugins and those in the files that the variable names. Raises PluginError where one cannot be imported."""
    plugins = PluginManager.discover()
    for file in filter(None, os.environ.get(PLUGIN_FILES_VARIABLE, "").split(os.pathsep)):
        plugins.add_file(Path(file))
    return Session(plugins)
