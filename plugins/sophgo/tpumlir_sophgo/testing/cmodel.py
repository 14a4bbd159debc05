"""CModel as a bare machine: local memory, global memory, one command at a time. No runtime, no bmodel.

One process serves one chip (the library keeps global state). Memory persists between calls; ``fill`` resets it.

Starting, the library sets its thread to flush subnormal results to zero (CModel, measured). It computes so here too, but only
while it computes: whatever else the process calculates, references above all, keeps IEEE's arithmetic.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from tpumlir_core.errors import InputError
from tpumlir_sophgo.arch import Arch
from tpumlir_sophgo.cmodel import library
from tpumlir_sophgo.emitter import Emitter, Engine


class _LocalMemory(ctypes.Structure):
    _fields_ = [("raw", ctypes.c_void_p)]


class Machine:
    """An initialised CModel with numpy views of its memories: ``local`` [lanes, bytes], ``ddr`` [bytes], ``static``."""

    def __init__(self, arch: Arch, ddr_bytes: int = 1 << 28, static: bytes = b"") -> None:
        self.arch = arch
        path = str(library(arch.name))
        with _floating_point_kept():  # constructors of libraries built for fast mathematics change it too
            lib = ctypes.CDLL(path)
        lib.get_local_mem.restype = ctypes.POINTER(_LocalMemory)
        lib.get_global_memaddr.restype = ctypes.c_void_p
        lib.get_static_memaddr_by_node.restype = ctypes.c_void_p
        lib.cmodel_init.argtypes = [ctypes.c_int32, ctypes.c_int64]
        lib.execute_command.argtypes = [ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint]
        with _floating_point_kept():
            if lib.cmodel_init(0, ddr_bytes):
                raise InputError("CModel does not start")
            self._floating_point = _floating_point()
        _end_threads(lib)
        self._lib = lib
        self.local = _view(lib.get_local_mem(0).contents.raw, arch.lanes * arch.lane_bytes).reshape(arch.lanes, arch.lane_bytes)
        self.ddr = _view(lib.get_global_memaddr(0), ddr_bytes)
        self.static = _view(lib.get_static_memaddr_by_node(0), 16 << 10)
        self.static[: len(static)] = np.frombuffer(static, np.uint8)

    def fill(self, byte: int = 0xA5) -> None:
        """Fill local memory with a pattern, so that a read of what was never written shows."""
        self.local[...] = byte

    def execute(self, emitter: Emitter) -> None:
        """Run the emitter's commands in program order."""
        for command in emitter.commands:
            values = {**command.values, "cmd_id": command.id & 0xFFFFF, "cmd_id_dep": 0}
            self.execute_encoded(command.format.encode({k: v for k, v in values.items() if k in command.format.fields}), command.engine)

    def execute_encoded(self, data: bytes, engine: Engine) -> None:
        """Run one encoded command."""
        with _floating_point_kept():
            _libm().fesetenv(self._floating_point)
            self._lib.execute_command(0, ctypes.create_string_buffer(data, 256), int(engine))


def _end_threads(lib: ctypes.CDLL) -> None:
    """BM1684X's has a thread an engine, which polls for commands that nobody sends here and may abort the process (measured)."""
    if hasattr(lib, "cmodel_multi_thread_cxt_deinit"):
        lib.cmodel_multi_thread_cxt_deinit(ctypes.c_int32(0))


def _view(address: int, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


@contextmanager
def _floating_point_kept() -> Iterator[None]:
    """Whatever happens inside, this thread computes afterwards as before."""
    before = _floating_point()
    try:
        yield
    finally:
        _libm().fesetenv(before)


def _floating_point() -> ctypes.Array[ctypes.c_char]:
    """This thread's rounding, flushing and exceptions, as ``fesetenv`` takes them (``fenv_t``: 32 bytes on x86-64)."""
    environment = ctypes.create_string_buffer(64)
    _libm().fegetenv(environment)
    return environment


@cache
def _libm() -> ctypes.CDLL:
    return ctypes.CDLL("libm.so.6")
