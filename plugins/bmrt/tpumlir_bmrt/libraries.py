"""Which runtime runs a chip's file: that of an installed device, or the one built for the emulator."""

from __future__ import annotations

import ctypes.util
import os
from dataclasses import dataclass
from pathlib import Path

from tpumlir_sophgo import cmodel

DEVICE_NODES = ("bm-sophon0", "bm-tpu0")
"""In /dev where a chip is present: on a PCIe card, in a SoC (libsophon's drivers)."""
LIBSOPHON = Path("/opt/sophon/libsophon-current/lib")
"""Where SOPHGO's packages install the runtime."""


@dataclass(frozen=True)
class Libraries:
    """The driver library (bmlib) and the runtime (bmrt); ``emulator`` tells CModel from a device."""

    driver: str
    runtime: str
    emulator: bool

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that loads them: the emulator's driver opens libcmodel.so by its bare name."""
        environment = dict(os.environ)
        if self.emulator:
            folders = (str(Path(self.driver).parent), environment.get("LD_LIBRARY_PATH", ""))
            environment["LD_LIBRARY_PATH"] = ":".join(folder for folder in folders if folder)
        return environment


def libraries(chip: str) -> Libraries:
    """A device where this machine has one (unless ``TPUMLIR_CMODEL`` asks for the emulator), else the chip's CModel.

    ``chip``: lower case. Raises InputError where there is neither.
    """
    device = None if os.environ.get("TPUMLIR_CMODEL") else _device()
    if device is not None:
        return device
    driver, runtime = (str(cmodel.library(chip, name)) for name in (cmodel.DRIVER, cmodel.RUNTIME))
    return Libraries(driver, runtime, emulator=True)


def _device() -> Libraries | None:
    if not any((Path("/dev") / node).exists() for node in DEVICE_NODES):
        return None
    if (LIBSOPHON / "libbmrt.so").exists():
        return Libraries(str(LIBSOPHON / "libbmlib.so"), str(LIBSOPHON / "libbmrt.so"), emulator=False)
    driver, runtime = ctypes.util.find_library("bmlib"), ctypes.util.find_library("bmrt")
    return Libraries(driver, runtime, emulator=False) if driver and runtime else None
