"""The first-party plugins as built wheels in a new environment: ``python -m sweeps.wheels``.

With all of them, an example operator and three tiny distributions do what they promise; then each is uninstalled in turn, and the
rest goes on. Needs the emulator in the cache.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sweeps.packages import ROOT, Home

FIRST_PARTY = ("sophgo", "bm1684x", "onnx", "float", "int8", "bmrt")
WITHOUT: Mapping[str, str] = {
    "sophgo": "missing dependency", "bm1684x": "no target is called", "onnx": "no frontend knows", "float": "no quantizer",
}  # fmt: skip
"""What a compilation to BM1684X in F32 says where one is not installed; it needs no others."""
PLUGINS = 12
"""That are listed at least, the sick among them."""
COMPILE = ("compile", "net.onnx", "-o", "net.bmodel", "--chip", "bm1684x")


@dataclass(frozen=True)
class Tiny:
    """A distribution of one module with one entry point."""

    name: str
    group: str
    value: str
    source: str
    requires: str = "tpumlir-core>=0.1,<0.2"
    point: str = ""

    def claiming(self, point: str) -> Tiny:
        """The same under another entry-point name than its own."""
        return replace(self, point=point)

    def write(self, folder: Path) -> Path:
        """Its project, a folder in ``folder``."""
        home, module = folder / self.name, self.name.replace("-", "_")
        home.mkdir()
        (home / f"{module}.py").write_text(dedent(self.source))
        about = f'[project]\nname = "{self.name}"\nversion = "1.0"\ndependencies = ["{self.requires}"]\n'
        points = f'[project.entry-points."tpumlir.{self.group}"]\n{self.point or self.name} = "{self.value}"\n'
        (home / "pyproject.toml").write_text(f'{about}{points}[tool.setuptools]\npy-modules = ["{module}"]\n')
        return home


TINY = (
    Tiny(
        "acme-widest", "calibrators", "acme_widest:Widest",
        """
        from tpumlir_core.plugins.extension_points import CalibratedRange, Calibrator

        class Widest(Calibrator):
            def calibrate(self, tensors):
                return {name: CalibratedRange(100.0, -100.0, 100.0) for sample in tensors for name in sample}
        """,
    ),
    Tiny(
        "acme-pass", "hooks", "acme_pass",
        """
        import sys
        from dataclasses import dataclass
        from typing import ClassVar
        from tpumlir_core.plugins.hookspecs import Insert, Pass, hookimpl

        @dataclass(frozen=True)
        class Count(Pass):
            name: ClassVar[str] = "acme-count"

            def run(self, module):
                print("acme counts", len(module.function.operations), file=sys.stderr)
                return False

        @hookimpl
        def extend_pipeline(pipeline, passes, options):
            return [Insert(Count(), after="fold-constants")] if pipeline == "optimize" else []
        """,
    ),
    Tiny(
        "acme-hello", "commands", "acme_hello:hello",
        """
        import click

        @click.command()
        def hello():
            click.echo("hello from acme")
        """,
    ),
)  # fmt: skip


SICK = (
    Tiny("acme-broken", "runners", "acme_broken:X", "raise RuntimeError('no luck')"),
    Tiny("acme-incompatible", "runners", "acme_incompatible:X", "", "tpumlir-core>=99"),
    Tiny("acme-one", "runners", "acme_one:X", "").claiming("acme-claimed"),
    Tiny("acme-two", "runners", "acme_two:X", "").claiming("acme-claimed"),
    Tiny("acme-needy", "runners", "acme_needy:X", "", "acme-absent>=2"),
)
REASONS: Mapping[str, str] = {
    "acme-broken": "no luck", "acme-incompatible": "it needs tpumlir-core >=99", "acme-claimed": "both bring it",
    "acme-needy": "pip install 'acme-absent>=2'",
}
"""Of each sick plugin, what asking for it says."""


def install_all(home: Home) -> None:
    """The wheels of the first-party plugins, of the example and of the tiny distributions."""
    projects = [*(ROOT / "plugins" / name for name in (*FIRST_PARTY, "example-op")), *(tiny.write(home.work) for tiny in TINY)]
    home.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", *map(str, projects))
    home.run("python", "-m", "pip", "install", "--quiet", *map(str, sorted((home.work / "wheels").glob("*.whl"))))


def save_networks(folder: Path) -> None:
    """net.onnx, the same with ``acme::SwapChannel`` in it as swap.onnx, and an input for both."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 9, 7]) for name in ("x", "y")]
    weights = [numpy_helper.from_array(np.random.default_rng(0).standard_normal((3, 3, 3, 3)).astype(np.float32), "w")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("acme", 1)]
    convolution = helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1])
    swap = helper.make_node("SwapChannel", ["c"], ["y"], "swap", domain="acme", order=[2, 0, 1])
    for name, last in (("net", helper.make_node("Relu", ["c"], ["y"], "relu")), ("swap", swap)):
        graph = helper.make_graph([convolution, last], name, tensors[:1], tensors[1:], weights)
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / f"{name}.onnx")
    np.savez(folder / "x.npz", x=np.random.default_rng(1).standard_normal((1, 3, 9, 7)).astype(np.float32))


def with_all(home: Home) -> Sequence[str]:
    """What is wrong with all of them installed."""
    answers = {
        ("compile", "swap.onnx", "-o", "swap.bmodel", "--chip", "bm1684x", "--test-input", "x.npz"): "swap.bmodel",
        ("info", "swap.bmodel"): "tpumlir-example-op",
        ("calibrate", "net.onnx", "-o", "table", "--data-list", "list.txt", "--method", "acme-widest"): "acme-widest",
        COMPILE: "acme counts",
        ("acme-hello",): "hello from acme",
        ("--help",): "acme-hello",
    }
    (home.work / "list.txt").write_text("x.npz\n")
    return [f"tpumlir {' '.join(a)} does not say {words!r}" for a, words in answers.items() if words not in home.run("tpumlir", *a)]


def without_one(home: Home, absent: str) -> Sequence[str]:
    """What is wrong where one is uninstalled; it is there again afterwards."""
    name = f"tpumlir-{absent}"
    home.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", name)
    words = WITHOUT.get(absent, "net.bmodel")
    said = home.run("tpumlir", *COMPILE, expect=2 if absent in WITHOUT else 0)
    listed = json.loads(home.run("tpumlir", "plugins", "list", "--json"))
    faults = [f"without {name}, compile says {said!r}"] if words not in said else []
    needing = {"sophgo": {"tpumlir-bm1684x", "tpumlir-bmrt"}}.get(absent, set())
    sick = {plugin["distribution"] for plugin in listed if plugin["health"] != "ok"}
    faults += [f"without {name}, {', '.join(sorted(sick))} are sick"] if sick != needing else []
    home.run("python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--find-links", "wheels", name)
    return faults


def with_sick(home: Home) -> Sequence[str]:
    """What is wrong with sick plugins beside the healthy ones."""
    projects = [str(sick.write(home.work)) for sick in SICK]
    home.run("python", "-m", "pip", "install", "--quiet", "--no-deps", *projects)
    listed = json.loads(home.run("tpumlir", "plugins", "list", "--json"))
    sick = {plugin["name"]: plugin["health"] for plugin in listed if plugin["health"] not in ("ok", "broken")}
    expected = {"acme-incompatible": "incompatible", "acme-claimed": "conflict", "acme-needy": "missing dependency"}
    faults = [f"the sick are listed as {sick}"] if sick != expected or len(listed) < PLUGINS else []
    for arguments, words in ((("--help",), "compile"), (("plugins", "doctor"), "acme-needy"), (COMPILE, "net.bmodel")):
        said = home.run("tpumlir", *arguments, expect=int("doctor" in arguments))
        faults += [f"beside sick plugins, {' '.join(arguments)} says {said!r}"] if words not in said else []
    for name, words in REASONS.items():
        said = home.run("tpumlir", "run", "net.bmodel", "--input", "x.npz", "--output", "y.npz", "--runner", name, expect=2)
        faults += [f"asking for {name} says {said!r}"] if words not in said or said.strip().count("\n") else []
    return faults


def main() -> None:
    """Run all of it; exit code 1 where something is wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tpumlir-wheels-") as name:
        home = Home(Path(name))
        install_all(home)
        save_networks(home.work)
        faults = [*with_all(home), *(fault for absent in FIRST_PARTY for fault in without_one(home, absent)), *with_sick(home)]
    for fault in faults:
        print(fault)
    print(f"{len(FIRST_PARTY)} plugins by wheel: {len(faults)} faults; {time.monotonic() - started:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
