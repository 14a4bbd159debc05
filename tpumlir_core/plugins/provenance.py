"""Which distributions took part in making a file."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

from tpumlir_core import __version__
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.health import CORE
from tpumlir_core.plugins.kinds import Kind
from tpumlir_core.plugins.manager import PluginManager

FAMILY = "tpumlir-"


def made_by(plugins: PluginManager, *used: tuple[Kind[Any], str]) -> dict[str, str]:
    """Distribution -> version of the core, the plugins used, and what these need of the same family; sorted."""
    found = {CORE: __version__}
    for kind, name in used:
        candidate = plugins.find(kind, name).candidate
        found[canonical(candidate.distribution)] = candidate.version
        for line in candidate.requires:
            needed = canonical(re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0])
            if needed.startswith(FAMILY) and needed not in found and ";" not in line:
                found[needed] = metadata.version(needed)
    return dict(sorted(found.items()))
