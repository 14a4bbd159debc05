"""The networks that speed is measured on."""

from __future__ import annotations

from pathlib import Path

from sweeps.models import CACHE, NETWORKS, Network, efficientnet_lite0

CHOSEN: tuple[Network, ...] = tuple(network for network in NETWORKS if "," not in network.name)
"""Each network once: the variants of batch and weights are of no other speed."""


def locate(network: Network) -> Path | None:
    """The network's file, downloaded when it is not there; None for one that takes a large framework to make.

    That one is measured when its file is in the cache (``sweeps.networks`` makes it).
    """
    if network.file is efficientnet_lite0 and not (CACHE / "efficientnet_lite0.onnx").exists():
        return None
    return network.file()
