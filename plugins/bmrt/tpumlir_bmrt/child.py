"""One run of a bmodel through libbmrt, in a process of its own: ``python child.py FOLDER``.

It imports nothing of this project. FOLDER holds ``request.json`` ({driver, runtime, model, net, inputs, outputs}: paths of
the libraries and the model, the network's name, the number of inputs, [type, largest shape] of each output) and the inputs
as stored on the wire, ``input<i>.npy``. It writes ``output<i>.npy``. CModel's threads do not end by themselves: os._exit.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_void_p
from pathlib import Path
from typing import Any

import numpy as np


class Shape(ctypes.Structure):
    """``bm_shape_t`` (libsophon)."""

    _fields_ = [("num_dims", c_int), ("dims", c_int * 8)]

    @classmethod
    def of(cls, dimensions: tuple[int, ...]) -> Shape:
        return cls(len(dimensions), (c_int * 8)(*dimensions))

    def dimensions(self) -> tuple[int, ...]:
        return tuple(self.dims[: self.num_dims])


def main(folder: Path) -> int:
    """Run the request of a folder; 0 when its outputs are written. What went wrong goes to stderr."""
    request = json.loads((folder / "request.json").read_text())
    driver = ctypes.CDLL(request["driver"], ctypes.RTLD_GLOBAL)
    library = _prototypes(ctypes.CDLL(request["runtime"], ctypes.RTLD_GLOBAL))
    device = c_void_p()
    if driver.bm_dev_request(byref(device), c_int(0)):
        return _fail("the device cannot be opened (bm_dev_request)")
    runtime = library.bmrt_create(device)
    if not runtime:
        return _fail("the runtime does not start (bmrt_create)")
    if not library.bmrt_load_bmodel(runtime, request["model"].encode()):
        return _fail("the runtime refuses the file (bmrt_load_bmodel)")
    inputs = [np.load(folder / f"input{i}.npy") for i in range(request["inputs"])]
    outputs = [np.zeros(shape, kind) for kind, shape in request["outputs"]]
    shapes = (Shape * len(outputs))(*(Shape.of(array.shape) for array in outputs))
    launched = library.bmrt_launch_data(
        runtime, request["net"].encode(),
        _pointers(inputs), (Shape * len(inputs))(*(Shape.of(array.shape) for array in inputs)), len(inputs),
        _pointers(outputs), shapes, len(outputs), True,
    )  # fmt: skip
    if not launched:
        return _fail("the network cannot be launched (bmrt_launch_data)")
    if driver.bm_thread_sync(device):
        return _fail("the device fails while it runs the network (bm_thread_sync)")
    for i, (array, shape) in enumerate(zip(outputs, shapes, strict=True)):
        actual = shape.dimensions()
        np.save(folder / f"output{i}.npy", array.reshape(-1)[: int(np.prod(actual, dtype=np.int64))].reshape(actual))
    return 0


def _prototypes(library: Any) -> Any:
    library.bmrt_create.restype, library.bmrt_create.argtypes = c_void_p, [c_void_p]
    library.bmrt_load_bmodel.restype, library.bmrt_load_bmodel.argtypes = c_bool, [c_void_p, c_char_p]
    library.bmrt_launch_data.restype = c_bool
    library.bmrt_launch_data.argtypes = [
        c_void_p, c_char_p, c_void_p, POINTER(Shape), c_int, c_void_p, POINTER(Shape), c_int, c_bool,
    ]  # fmt: skip
    return library


def _pointers(arrays: list[Any]) -> Any:
    return (c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _fail(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
