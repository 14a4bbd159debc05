"""The command as users see it: output, exit codes and one line an error, with a toy frontend, target and runner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TOY = """
    import json
    from pathlib import Path

    import numpy as np

    from tpumlir_core.errors import InputError, UnsupportedError
    from tpumlir_core.ir import Function, Module, TensorType, WeightStore, top
    from tpumlir_core.plugins.extension_points import Artifact, Frontend, Quantizer, Runner, Target


    class ToyFrontend(Frontend):
        '''{"toy": NAME, "shape": [..], "fault": ..}: one ReLU.'''

        def recognizes(self, path, head):
            return head.startswith(b'{"toy"')

        def load(self, path, options):
            facts = json.loads(path.read_text())
            if facts.get("fault") == "unsupported":
                raise UnsupportedError(f"{path}: no such operators", ("first (A)", "second (B)"))
            if facts.get("fault") == "bug":
                raise KeyError("a bug\\nof two lines")
            shape = options.input_shapes[0] if options.input_shapes else tuple(facts["shape"])
            fed = top.Input.create([], [("x", TensorType(shape))])
            relu = top.Relu.create([fed.output], ["y"])
            return Module(options.name or facts["toy"], Function("main", [fed, relu], [relu.output]), WeightStore())

        def operators(self):
            return ["Relu"]

        def run(self, path, inputs, options):
            wrong = json.loads(path.read_text()).get("fault") == "wrong"
            return {"y": np.maximum(inputs["x"], 0) if not wrong else inputs["x"] - 5}


    class ToyQuantizer(Quantizer):
        def modes(self):
            return ("F32",)

        def lower(self, module, target, options):
            return module


    class ToyTarget(Target):
        name = "toychip"

        def supports(self, op, mode):
            return None

        def modes(self):
            return ("F32",)

        def compile(self, module):
            shape = list(module.function.outputs[0].shape)
            return Artifact(b"TOYCHIP" + json.dumps(shape).encode(), {"instructions": {"toy": 1}})

        def operators(self):
            return {"Relu": {"F32": None}, "Nothing": {"F32": "no table for it"}}


    class ToyRunner(Runner):
        def recognizes(self, path, head):
            return head.startswith(b"TOYCHIP")

        def run(self, path, inputs):
            return {"y": np.maximum(inputs["x"], 0)}
"""
POINTS = {
    "tpumlir.frontends": {"toy": "toy_plugin:ToyFrontend"},
    "tpumlir.quantizers": {"toy": "toy_plugin:ToyQuantizer"},
    "tpumlir.targets": {"toychip": "toy_plugin:ToyTarget"},
    "tpumlir.runners": {"toy": "toy_plugin:ToyRunner"},
    "tpumlir.interpreters": {"toynumpy": "tpumlir_core.interpreter:NumpyInterpreter"},
}
COMPILE = ("--chip", "toychip", "-o", "out.bin")


@pytest.fixture
def toy(site: Any, tmp_path: Path) -> Path:
    """A toy model in the folder that the command runs in, and the toy plugins installed."""
    site.install("toy-plugin", POINTS, {"toy_plugin": TOY})
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    (work / "m.toy").write_text('{"toy": "net", "shape": [2, 3]}')
    np.savez(work / "x.npz", x=np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    return work


def assert_one_line(result: Any, code: int, *parts: str) -> None:
    """The command failed with this code and one line on stderr that has these parts."""
    lines = result.stderr.splitlines()
    assert (result.returncode, len(lines)) == (code, 1), result.stderr
    assert lines[0].startswith("tpumlir: error: ")
    for part in parts:
        assert part in lines[0]


# --- everything works -----------------------------------------------------------------------------------------------
def test_compile_run_and_compare(toy: Path, tpumlir: Any) -> None:
    compiled = tpumlir("compile", "m.toy", *COMPILE, "--json", "--test-input", "x.npz", TPUMLIR_DISABLE="bmrt,onnx")
    assert compiled.returncode == 0, compiled.stderr
    facts = json.loads(compiled.stdout)
    assert facts["bytes"] == (toy / "out.bin").stat().st_size
    assert {"import", "optimize", "lower", "compile"} <= facts["seconds"].keys()
    for file, output in (("out.bin", "a.npz"), ("m.toy", "b.npz")):
        assert tpumlir("run", file, "--input", "x.npz", "--output", output).returncode == 0
    assert (np.load(toy / "a.npz")["y"] == [[0, 0, 0], np.float32([0.2, 0.6, 1.0])]).all()
    compared = tpumlir("compare", "a.npz", "b.npz", "--json")
    assert (compared.returncode, json.loads(compared.stdout)["passed"]) == (0, True)


def test_transform_then_deploy_is_compile(toy: Path, tpumlir: Any) -> None:
    assert tpumlir("compile", "m.toy", *COMPILE).returncode == 0
    transformed = tpumlir("transform", "m.toy", "--mlir", "m.mlir", "--json")
    assert json.loads(transformed.stdout)["operations"] == 2, transformed.stderr
    assert tpumlir("deploy", "m.mlir", "--chip", "toychip", "--quantize", "f32", "-o", "again.bin").returncode == 0
    assert (toy / "again.bin").read_bytes() == (toy / "out.bin").read_bytes()
    assert tpumlir("run", "m.mlir", "--input", "x.npz", "--output", "all.npz", "--dump-all", "--runner", "toynumpy").returncode == 0
    assert sorted(np.load(toy / "all.npz").files) == ["x", "y"]


def test_input_shapes_reach_the_frontend(toy: Path, tpumlir: Any) -> None:
    assert tpumlir("compile", "m.toy", *COMPILE, "--input-shapes", "[[1, 7]]").returncode == 0
    assert (toy / "out.bin").read_bytes() == b"TOYCHIP[1, 7]"


def test_lists(toy: Path, tpumlir: Any) -> None:
    assert tpumlir("ops", "--frontend", "toy").stdout == "Relu\n"
    table = json.loads(tpumlir("ops", "--chip", "toychip", "--json").stdout)
    assert table["operators"]["Relu"]["F32"] == {"supported": True, "by": "kernel", "reason": None}
    assert table["operators"]["Nothing"]["F32"] == {"supported": False, "by": None, "reason": "no table for it"}
    assert "Conv" in json.loads(tpumlir("ops", "--json").stdout)["operators"]
    plugins = json.loads(tpumlir("plugins", "list", "--json", "--kind", "target").stdout)
    assert ("toychip", "ok") in [(plugin["name"], plugin["health"]) for plugin in plugins]
    assert "toy_plugin:ToyTarget" in tpumlir("plugins", "info", "toychip").stdout


def test_doctor_finds_the_sick(toy: Path, site: Any, tpumlir: Any) -> None:
    site.install("sick", {"tpumlir.runners": {"sick": "sick_plugin:A"}}, {"sick_plugin": "import absent_library_of_sick"})
    assert tpumlir("plugins", "list").returncode == 0
    result = tpumlir("plugins", "doctor", TPUMLIR_PLUGINS="toy,sick")
    assert result.returncode == 1
    assert "pip install absent_library_of_sick" in result.stdout
    assert tpumlir("plugins", "doctor", TPUMLIR_PLUGINS="toy").returncode == 0


# --- what goes wrong says so in one line -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (("compile", "absent.toy", *COMPILE), 2, ("absent.toy", "no such file")),
        (("compile", "m.toy", "--chip", "toychip", "-o", "absent/out.bin"), 2, ("absent/out.bin", "no folder")),
        (("compile", "m.toy", "--chip", "toychip", "-o", "."), 2, ("is a folder",)),
        (("compile", "m.toy", "--chip", "nochip", "-o", "out.bin"), 2, ("no target is called 'nochip'",)),
        (("compile", "m.toy", *COMPILE, "--quantize", "F99"), 2, ("F99", "F32")),
        (("compile", "m.toy", *COMPILE, "--input-shapes", "[[1,x]]"), 2, ("--input-shapes", "[[1,224"[:3])),
        (("compile", "m.toy", *COMPILE, "--input-shapes", "[[0]]"), 2, ("--input-shapes",)),
        (("compile", "m.toy", *COMPILE, "--input-shapes", "[" * 9999), 2, ("--input-shapes",)),
        (("compile", "m.toy", *COMPILE, "--output-names", "a,,b"), 2, ("--output-names", "empty name")),
        (("compile", "m.toy", *COMPILE, "--tolerance", "0.9"), 2, ("--tolerance",)),
        (("compile", "m.toy", *COMPILE, "--test-input", "m.toy"), 2, ("m.toy", "npz")),
        (("compile", "x.npz", *COMPILE), 2, ("x.npz", "no frontend knows this file")),
        (("compile", "m.toy", "--chip", "toychip"), 2, ("--output",)),
        (("compile", "m.toy", *COMPILE, "--no-such-option"), 2, ("--no-such-option",)),
        (("no-such-command",), 2, ("no-such-command",)),
        (("deploy", "m.toy", *COMPILE), 2, ("m.toy",)),
        (("run", "x.npz", "--input", "x.npz", "--output", "y.npz"), 2, ("no runner and no frontend knows this file", "toy")),
        (("run", "/dev/zero", "--input", "x.npz", "--output", "y.npz"), 2, ("/dev/zero", "device")),
        (("run", "m.toy", "--input", "absent.npz", "--output", "y.npz"), 2, ("absent.npz",)),
        (("compare", "x.npz", "m.toy"), 2, ("m.toy", "npz")),
        (("info", "m.toy"), 2, ("m.toy", "not a bmodel")),
        (("disasm", "absent"), 2, ("absent",)),
        (("profile", "x.npz"), 2, ("x.npz", "not a bmodel")),
        (("plugins", "info", "absent"), 2, ("absent",)),
        (("plugins", "list", "--kind", "absent"), 2, ("absent", "frontend")),
        (("ops", "--frontend", "absent"), 2, ("no frontend is called 'absent'",)),
    ],
)
def test_bad_input_is_one_line(toy: Path, tpumlir: Any, arguments: tuple[str, ...], code: int, parts: tuple[str, ...]) -> None:
    before = sorted(toy.iterdir())
    assert_one_line(tpumlir(*arguments), code, *parts)
    assert sorted(toy.iterdir()) == before


def test_all_unsupported_operators_are_named(toy: Path, tpumlir: Any) -> None:
    (toy / "m.toy").write_text('{"toy": "net", "fault": "unsupported"}')
    assert_one_line(tpumlir("compile", "m.toy", *COMPILE), 2, "first (A)", "second (B)")


def test_a_bug_of_a_plugin_is_its_own(toy: Path, tpumlir: Any) -> None:
    (toy / "m.toy").write_text('{"toy": "net", "fault": "bug"}')
    assert_one_line(tpumlir("compile", "m.toy", *COMPILE), 3, "frontend toy of toy-plugin 1.0", "load", "KeyError", "a bug")
    assert "Traceback" in tpumlir("compile", "m.toy", *COMPILE, TPUMLIR_DEBUG="1").stderr


def test_a_wrong_network_fails_the_comparison_and_writes_nothing(toy: Path, tpumlir: Any) -> None:
    (toy / "m.toy").write_text('{"toy": "net", "shape": [2, 3], "fault": "wrong"}')
    assert_one_line(tpumlir("compile", "m.toy", *COMPILE, "--test-input", "x.npz"), 1, "imported network", "y")
    assert not (toy / "out.bin").exists()


def test_compare_tells_by_its_exit_code(toy: Path, tpumlir: Any) -> None:
    np.savez(toy / "other.npz", x=-np.load(toy / "x.npz")["x"])
    assert tpumlir("compare", "x.npz", "x.npz").returncode == 0
    assert tpumlir("compare", "x.npz", "other.npz").returncode == 1


def test_objects_in_an_npz_are_refused(toy: Path, tpumlir: Any) -> None:
    np.savez(toy / "bad.npz", x=np.array([{}], object))
    assert_one_line(tpumlir("run", "m.toy", "--input", "bad.npz", "--output", "y.npz"), 2, "bad.npz")


# --- the umbrella ------------------------------------------------------------------------------------------------------
HELP_MODULES = """
import sys
from tpumlir_core.cli.main import main
try:
    main(["--help"])
finally:
    heavy = {"numpy", "rich", "pluggy", "stevedore", "packaging", "toy_plugin", "asyncio"} & set(sys.modules)
    print("heavy:", *sorted(heavy), file=sys.stderr)
"""


def test_help_imports_nothing_heavy_and_no_plugin(toy: Path, tpumlir: Any, site: Any) -> None:
    site.install("acme", {"tpumlir.commands": {"acme": "toy_plugin:command", "compile": "toy_plugin:command"}})
    environment = {"PYTHONPATH": f"{site.folder}:{Path(__file__).parent.parent}"}
    result = subprocess.run([sys.executable, "-c", HELP_MODULES], env=environment, capture_output=True, text=True, check=True)
    assert result.stderr.splitlines()[-1] == "heavy:"
    listed = [line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed.count("compile") == 1
    assert "acme" in listed


def test_a_plugin_brings_a_command(site: Any, tpumlir: Any) -> None:
    source = """
        import click

        @click.command()
        @click.option("--times", type=int, default=1)
        def command(times):
            click.echo("hello " * (6 // times))
    """
    site.install("acme", {"tpumlir.commands": {"acme": "acme_command:command", "sick": "acme_absent:command"}}, {"acme_command": source})
    assert tpumlir("acme", "--times", "3").stdout.split() == ["hello", "hello"]
    assert_one_line(tpumlir("acme", "--times", "0"), 3, "command acme of acme 1.0 failed", "ZeroDivisionError")
    assert_one_line(tpumlir("acme", "--times", "x"), 2, "--times")
    assert_one_line(tpumlir("sick"), 2, "acme 1.0", "broken")
    assert tpumlir("--help").returncode == 0


def test_as_a_process_of_its_own(toy: Path, site: Any) -> None:
    environment = {"PYTHONPATH": f"{site.folder}:{Path(__file__).parent.parent}"}
    arguments = [sys.executable, "-m", "tpumlir_core", "compile", "m.toy", *COMPILE]
    done = subprocess.run(arguments, cwd=toy, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    failed = subprocess.run([*arguments, "--quantize", "F99"], cwd=toy, env=environment, capture_output=True, text=True, check=False)
    assert_one_line(failed, 2, "F99")


def test_without_arguments_the_help_goes_to_stderr(tpumlir: Any) -> None:
    result = tpumlir()
    assert (result.returncode, result.stdout) == (2, "")
    assert "Commands:" in result.stderr
