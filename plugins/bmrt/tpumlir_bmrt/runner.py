"""The runner ``bmrt``: a bmodel on SOPHGO's own runtime, in a child process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tpumlir_bmrt import wire
from tpumlir_bmrt.libraries import libraries
from tpumlir_core.bmodel import is_bmodel, read_model
from tpumlir_core.bmodel.schema import Model, Net, NetParameter
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.plugins.extension_points import Runner

Array = np.ndarray[Any, np.dtype[Any]]
TAIL_LINES = 3
"""Lines of the runtime's own messages that an error quotes."""
_TELLING = re.compile(r"FATAL|ERROR|ASSERT|WRONG|\(bm\w+\)$")
"""Its lines that name a reason, in the midst of start-up notes and call stacks."""


@dataclass(frozen=True)
class BmrtRunner(Runner):
    """Runs a bmodel on the device of this machine, or on the emulator of its chip.

    ``timeout``: seconds after which a run is ended; the emulator needs up to minutes for a large F16 network.
    """

    timeout: float = 1800.0

    def recognizes(self, path: Path, head: bytes) -> bool:
        return is_bmodel(head)

    def run(self, path: Path, inputs: Mapping[str, Array], net: str = "") -> dict[str, Array]:
        """Outputs of a network by name; floats and quantized outputs as float32.

        ``net``: which network of the file; by default the only one whose inputs these are. The stage is the one with the
        inputs' shapes. Raises InputError where the inputs do not fit, PluginError where the runtime fails.
        """
        model = _read(path)
        network = _network(path, model, inputs, net)
        stage = _stage(path, network, inputs)
        stored = [wire.to_wire(tensor, inputs[tensor.name or ""]) for tensor in stage.input_tensor]
        request = {
            "model": str(path.resolve()),
            "net": network.name or "",
            "inputs": len(stored),
            "outputs": [(wire.element(tensor).numpy.name, wire.shape(tensor)) for tensor in stage.output_tensor],
        }
        results = self._launch(path, (model.chip or "").lower(), request, stored)
        return {t.name or "": wire.from_wire(t, result) for t, result in zip(stage.output_tensor, results, strict=True)}

    def _launch(self, path: Path, chip: str, request: dict[str, Any], inputs: list[Array]) -> list[Array]:
        using = libraries(chip)
        with tempfile.TemporaryDirectory(prefix="tpumlir-bmrt-") as name:
            folder = Path(name)
            for i, array in enumerate(inputs):
                np.save(folder / f"input{i}.npy", array)
            (folder / "request.json").write_text(json.dumps(request | {"driver": using.driver, "runtime": using.runtime}))
            command = [sys.executable, "-P", str(Path(__file__).with_name("child.py")), name]
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    command, cwd=folder, env=using.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
                try:
                    status = process.wait(self.timeout)
                except subprocess.TimeoutExpired as error:
                    raise PluginError(f"{path}: not done after {self.timeout:g} s and ended{_tail(folder)}") from error
                finally:
                    process.kill()
                    process.wait()
            if status:
                what = "fails" if status > 0 else f"crashes (signal {-status})"
                raise PluginError(f"{path}: SOPHGO's runtime {what}{_tail(folder)}")
            return [np.load(folder / f"output{i}.npy") for i in range(len(request["outputs"]))]


def _tail(folder: Path) -> str:
    """What the runtime had to say, for the end of an error message."""
    lines = [line.strip() for line in (folder / "log").read_text(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if _TELLING.search(line)] or lines
    return f"; its last words: {' | '.join(told[-TAIL_LINES:])}" if told else ""


def _read(path: Path) -> Model:
    try:
        return read_model(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _network(path: Path, model: Model, inputs: Mapping[str, Array], name: str) -> Net:
    networks = [net for net in model.net if net.parameter]
    found = [net for net in networks if (net.name == name if name else len(networks) == 1 or set(_names(net)) <= inputs.keys())]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{net.name} ({', '.join(_names(net))})" for net in networks) or "nothing"
    if name:
        raise InputError(f"{path}: no network {name}; it holds {listed}")
    raise InputError(f"{path}: {'several networks take' if found else 'no network takes'} the inputs {_listed(inputs)}; it holds {listed}")


def _names(net: Net) -> list[str]:
    return [tensor.name or "" for tensor in net.parameter[0].input_tensor]


def _stage(path: Path, net: Net, inputs: Mapping[str, Array]) -> NetParameter:
    """The stage of these input shapes; of a dynamic network, one that is at least as large."""
    missing = [name for name in _names(net) if name not in inputs]
    if missing:
        raise InputError(f"{path}: input {', '.join(missing)} of network {net.name} is missing; given: {_listed(inputs)}")
    for stage in net.parameter:
        if all(_fits(stage, wire.shape(tensor), inputs[tensor.name or ""].shape) for tensor in stage.input_tensor):
            return stage
    wanted = " or ".join(", ".join(f"{tensor.name} {list(wire.shape(tensor))}" for tensor in stage.input_tensor) for stage in net.parameter)
    given = ", ".join(f"{name} {list(inputs[name].shape)}" for name in _names(net))
    raise InputError(f"{path}: network {net.name} takes {wanted}, not {given}")


def _fits(stage: NetParameter, declared: tuple[int, ...], given: tuple[int, ...]) -> bool:
    given = given or (1,)  # a bmodel has no scalars
    if not stage.is_dynamic:
        return declared == given
    return len(declared) == len(given) and all(1 <= size <= limit for size, limit in zip(given, declared, strict=True))


def _listed(inputs: Mapping[str, Array]) -> str:
    return ", ".join(sorted(inputs)) or "none"
