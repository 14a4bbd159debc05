"""Flags as a table: every one of the reference's is there, each refusal is told, what has no effect is warned of."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compat.conftest import Tool
from tests.compat.reference_flags import REFERENCE
from tpumlir_compat import model_deploy, model_runner, model_transform, npz_compare, run_calibration, run_qtable
from tpumlir_compat.flags import Command, Effect, Flag
from tpumlir_core.errors import InputError

COMMANDS = {
    "model_transform": model_transform.COMMAND, "model_deploy": model_deploy.COMMAND, "run_calibration": run_calibration.COMMAND,
    "run_qtable": run_qtable.COMMAND, "model_runner": model_runner.COMMAND, "compare": npz_compare.COMMAND,
}
NEEDED = {
    "model_transform": ["--model_name", "n", "--model_def", "n.onnx", "--mlir", "n.mlir"],
    "model_deploy": ["--mlir", "n.mlir", "--chip", "bm1684x", "--model", "n.bmodel"],
    "run_calibration": ["n.mlir"],
    "run_qtable": ["n.mlir", "--calibration_table", "t", "--chip", "bm1684x", "-o", "q"],
    "model_runner": ["--input", "n.npz", "--model", "n.mlir"],
    "compare": ["a.npz", "b.npz"],
}
"""What each command cannot do without."""
EVERY = [(name, flag) for name, command in COMMANDS.items() for flag in command.flags if flag.names[0].startswith("-")]


def of(effect: Effect) -> list[Any]:
    return [pytest.param(name, flag, id=f"{name} {flag.name}") for name, flag in EVERY if flag.effect is effect]


def given(flag: Flag) -> list[str]:
    """The flag with a value that asks for something."""
    if flag.switch:
        return [flag.name]
    others = [value for value in flag.choices or () if value not in (flag.default, "", *flag.accepted)]
    value = others[0] if others else {int: 7, float: 0.5}.get(flag.read, "some" if flag.read is not bool else "")  # type: ignore[call-overload]
    return [flag.name, str(value)] if not isinstance(flag.default, bool) or flag.read is bool else [flag.name, "true"]


# --- the table ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", REFERENCE)
def test_every_flag_of_the_reference_is_known(name: str) -> None:
    ours = {flag for one in COMMANDS[name].flags for flag in one.names}
    assert set(REFERENCE[name].split()) == ours


@pytest.mark.parametrize(("name", "flag"), of(Effect.REFUSED))
def test_what_is_refused_says_why(name: str, flag: Flag) -> None:
    with pytest.raises(InputError) as refused:
        COMMANDS[name].parse([*NEEDED[name], *given(flag)])
    assert str(refused.value).startswith(flag.name)
    assert flag.text in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("name", "flag"), of(Effect.REFUSED))
def test_the_value_that_asks_for_nothing_is_taken(name: str, flag: Flag) -> None:
    for value in flag.accepted if not flag.switch else ():
        COMMANDS[name].parse([*NEEDED[name], flag.name, str(value)])
    if not flag.switch and flag.default not in (None, (), ""):
        COMMANDS[name].parse([*NEEDED[name], flag.name, str(flag.default)])


@pytest.mark.parametrize(("name", "flag"), of(Effect.NOTHING))
def test_what_has_no_effect_is_warned_of(name: str, flag: Flag, capsys: pytest.CaptureFixture[str]) -> None:
    COMMANDS[name].parse([*NEEDED[name], *given(flag)])
    assert capsys.readouterr().err == f"{COMMANDS[name].name}: warning: {flag.name} has no effect: {flag.text}\n"
    COMMANDS[name].parse(NEEDED[name])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("name", "flag"), [pytest.param(n, f, id=f"{n} {f.name}") for n, f in EVERY if f.refused])
def test_values_of_what_acts_may_be_refused(name: str, flag: Flag) -> None:
    for value, reason in flag.refused.items():
        with pytest.raises(InputError, match=f"{flag.name} {value}: ") as refused:
            COMMANDS[name].parse([*NEEDED[name], flag.name, value])
        assert reason in str(refused.value)


# --- how it is typed ----------------------------------------------------------------------------------------------------
def parse(name: str, *words: str) -> argparse.Namespace:
    return COMMANDS[name].parse([*NEEDED[name], *words])


def test_flags_may_be_abbreviated_as_in_the_reference() -> None:
    assert parse("model_runner", "--dump").dump_all_tensors
    assert parse("model_deploy", "--except", "a,b").excepts == ("a", "b")
    with pytest.raises(InputError, match="ambiguous"):
        parse("model_deploy", "--quant_in")


def test_dashes_may_stand_for_underscores() -> None:
    assert parse("model_deploy", "--quant-input", "--test-reference=x-y.npz").test_reference == "x-y.npz"
    assert parse("compare", "--full-array", "--per-axis-compare", "1").per_axis_compare == 1


def test_lists_of_numbers_may_begin_with_a_minus() -> None:
    values = parse("model_transform", "--mean", "-1.5,2,-3", "--scale", "-.5,1,1")
    assert (values.mean, values.scale) == ((-1.5, 2.0, -3.0), (-0.5, 1.0, 1.0))


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_flags_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="--nonsense: no such flag"):
        parse(name, "--nonsense")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--input_shapes", "[[1,x]]"), "--input_shapes: '[[1,x]]' is not a list of shapes"),
        (("--tolerance", "0.9"), "--tolerance: '0.9' is not two numbers"),
        (("--preprocess_list", "0"), "--preprocess_list: '0' is not a list of positions from 1"),
        (("--mean", "a,b"), "--mean: 'a,b' is not numbers"),
        (("--resize_dims", "1.5,2"), "--resize_dims: '1.5,2' is not whole numbers"),
        (("--replace_topk_indices", "perhaps"), "--replace_topk_indices: 'perhaps' is neither true nor false"),
        (("--channel_format", "nope"), "--channel_format: invalid choice: 'nope'"),
    ],
)
def test_wrong_values_are_told_in_one_line(words: tuple[str, ...], told: str, tool: Tool) -> None:
    failed = tool("model_transform", *NEEDED["model_transform"], *words)
    assert failed.returncode == 2
    assert failed.stderr.startswith("model_transform.py: error: ")
    assert told in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_values() -> None:
    values = parse("model_transform", "--input_shapes", "[1,3,8,8]", "--output_names", "a, b,", "--do_onnx_sim", "True")
    assert values.input_shapes == ((1, 3, 8, 8),)
    assert values.output_names == ("a", "b")
    assert parse("model_deploy", "--quantize", "f16", "--processor", "BM1684X").quantize == "F16"


# --- help and version ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["model_transform", "model_deploy", "run_calibration", "run_qtable", "model_runner"])
def test_help_and_version(name: str, tool: Tool) -> None:
    shown = tool(name, "--help")
    assert shown.returncode == 0
    assert all(flag.name in shown.stdout for flag in COMMANDS[name].flags)
    assert tool(name, "--version").stdout.startswith(f"{name}.py tpumlir ")


@pytest.mark.parametrize("name", ["model_transform", "model_deploy", "run_calibration", "npz_tool", "model_tool"])
def test_the_help_is_quick_and_imports_nothing_heavy(name: str) -> None:
    code = f"import sys, time; from tpumlir_compat.{name} import main\n" \
           "try: main(['--help'])\nfinally: print(sorted({'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)), time.process_time())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": "/usr/bin"})
    modules, _, seconds = found.stdout.splitlines()[-1].rpartition(" ")
    assert modules == "[]"
    assert float(seconds) < 0.3


def test_scripts_are_installed_with_and_without_their_suffix() -> None:
    for name in ("model_transform", "model_deploy", "run_calibration", "run_qtable", "model_runner", "npz_tool", "model_tool"):
        for script in (name, f"{name}.py"):
            assert (Path(sys.executable).parent / script).exists()


def test_a_fault_of_our_own_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    monkeypatch.setattr("tpumlir_core.files.check_output", lambda path: 1 / 0)
    failed = tool("model_runner", *NEEDED["model_runner"])
    assert failed.returncode == 3
    assert failed.stderr == "model_runner.py: error: internal fault: ZeroDivisionError: division by zero\n"


def test_commands_are_described() -> None:
    assert all(isinstance(command, Command) and command.text.endswith(".") for command in COMMANDS.values())
