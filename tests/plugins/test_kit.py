"""The conformance kit catches what is bad, and says what and where: each case is a template's plugin with one fault."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.plugins.environments import lay_out
from tests.plugins.faults import FAULTS, Fault
from tpumlir_core.errors import InputError, PluginError
from tpumlir_core.ir import registered_operations
from tpumlir_core.plugins.scaffold import BLUEPRINTS, write_package
from tpumlir_core.testing import State, Subject, checks_of, run_kit
from tpumlir_core.testing.cases import batch, cases, sampled_operations
from tpumlir_core.testing.networks import reference


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the environment, the working directory and numpy's generator back to what bad plugins found."""
    environment, folder, state = dict(os.environ), Path.cwd(), np.random.get_state()
    yield
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.set_state(state)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}: {fault.what}")
@pytest.mark.usefixtures("restored")
def test_a_fault_is_caught_and_placed(fault: Fault, site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_package(fault.kind, f"bad-{fault.kind}", tmp_path)
    module = folder / f"tpumlir_bad_{fault.kind}.py"
    source = module.read_text()
    assert fault.old in source
    module.write_text(source.replace(fault.old, fault.new, 1) + ("\n\nSEEN = []\n" if "SEEN" in fault.new else ""))
    lay_out(folder, site.folder)
    monkeypatch.delitem(sys.modules, module.stem, raising=False)
    (check,) = (check for check in checks_of(fault.kind) if check.name == fault.check)
    subject = Subject(fault.kind, f"bad-{fault.kind}")
    outcome = check.outcome(subject)
    subject.close()
    assert outcome.state is State.FAILED, outcome
    for words in fault.said:
        assert words in outcome.message
    assert "\n" not in outcome.message


def test_every_kind_with_a_template_has_faults() -> None:
    assert {fault.kind for fault in FAULTS} == set(BLUEPRINTS)


def test_the_command_says_what_failed(site: Any, tmp_path: Path, tpumlir: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_package("calibrator", "bad-command", tmp_path)
    module = folder / "tpumlir_bad_command.py"
    module.write_text(module.read_text().replace("LEAST = 1e-5", "LEAST = 0.0"))
    lay_out(folder, site.folder)
    result = tpumlir("plugins", "check", "bad-command")
    assert (result.returncode, result.stderr) == (1, "")
    assert "  failed  gives every range: calibrate: the threshold of zeros is" in result.stdout
    assert "9 passed, 1 failed, 0 skipped" in result.stdout
    report = json.loads(tpumlir("plugins", "check", "bad-command", "--kind", "calibrator", "--json").stdout)
    assert not report["passed"]
    assert [one["check"] for one in report["plugins"][0]["checks"] if one["state"] == "failed"] == ["gives every range"]
    wrong = tpumlir("plugins", "check", "bad-command", "--kind", "runner")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)


def test_a_plugin_that_does_not_load_fails_one_check(site: Any) -> None:
    site.install("acme", {"tpumlir.runners": {"sick": "acme_sick_runner:X"}}, {"acme_sick_runner": "raise RuntimeError('no luck')"})
    outcomes = list(run_kit("runner", "sick"))
    (failed,) = (outcome for outcome in outcomes if outcome.state is State.FAILED)
    assert failed.check == "loads"
    assert "RuntimeError: no luck" in failed.message
    assert {outcome.state for outcome in outcomes if outcome is not failed} == {State.SKIPPED}


def test_unknown_kinds_and_names_are_errors() -> None:
    with pytest.raises(InputError, match="no such kind"):
        checks_of("nothing")
    with pytest.raises(PluginError, match="no runner is called 'nothing'"):
        list(run_kit("runner", "nothing"))


def test_samples_are_finite_and_for_every_operation_that_has_operands() -> None:
    without = {"top.Arange", "top.ConstantFill", "top.Input", "top.Range", "top.Shape", "top.Size", "top.Weight"}
    """What makes constants of shapes: no target computes it."""
    on_the_host = {opcode for opcode, kind in registered_operations().items() if kind.host}
    sampled = {f"top.{opcode}" for opcode in sampled_operations()}
    assert sampled == {opcode for opcode in registered_operations() if opcode.startswith("top.")} - without - on_the_host
    for opcode in sorted(sampled):
        sample = batch(cases(opcode.removeprefix("top.")))
        for name, array in reference(sample.module, sample.inputs).items():
            assert np.isfinite(array).all(), (opcode, name)


INTERPRETER = """
    from tpumlir_core.interpreter import NumpyInterpreter

    class Runs(NumpyInterpreter):
        '''Runs networks.'''

        def run(self, module, inputs):
            BODY
"""
OTHERS = (
    ("interpreter", "for x in inputs.values(): x += 1\n            return super().run(module, inputs)", "computes the same twice",
     "run(a ReLU) writes to its input"),
    ("interpreter", "return {k: v + 1 for k, v in super().run(module, inputs).items()}", "computes every tensor", "the reference: 0.0"),
    ("executor", "return {k: v for k, v in super().run(module, inputs).items() if k != '1.0'}", "computes every tensor",
     "run(a sum and a product) does not give 1.0"),
    ("executor", "return super().run(module, {n: inputs[n].ravel()[:10] for n in ('0.operand0',)})", "refuses bad inputs", "KeyError"),
)


@pytest.mark.parametrize(("kind", "body", "name", "said"), OTHERS)
def test_faults_of_kinds_without_a_template(
    site: Any, request: pytest.FixtureRequest, kind: str, body: str, name: str, said: str
) -> None:
    module = f"acme_runs_{request.node.callspec.indices['body']}"
    site.install("acme", {f"tpumlir.{kind}s": {"runs": f"{module}:Runs"}}, {module: INTERPRETER.replace("BODY", body)})
    if kind == "executor":  # an interpreter of Tpu modules, in a class of its own
        source = (site.folder / f"{module}.py").read_text()
        source = source.replace("(NumpyInterpreter)", "(NumpyInterpreter, Executor)")
        (site.folder / f"{module}.py").write_text(f"from tpumlir_core.plugins.extension_points import Executor\n{source}")
    (check,) = (check for check in checks_of(kind) if check.name == name)
    outcome = check.outcome(Subject(kind, "runs"))
    assert outcome.state is State.FAILED
    assert said in outcome.message


def test_a_command_without_help_is_told(site: Any) -> None:
    source = "import click\n\n\n@click.command()\ndef mute():\n    pass\n"
    site.install("acme", {"tpumlir.commands": {"mute": "acme_mute:mute"}}, {"acme_mute": source})
    (check,) = (check for check in checks_of("command") if check.name == "explains itself")
    outcome = check.outcome(Subject("command", "mute"))
    assert (outcome.state, outcome.message) == (State.FAILED, "the command mute has no help: give its function a docstring")


def test_a_target_without_a_table_is_tried_on_what_it_supports(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_package("target", "bad-target", tmp_path)
    module = folder / "tpumlir_bad_target.py"
    module.write_text(module.read_text().replace("def operators(", "def others(").replace("np.sqrt", "np.cbrt"))
    lay_out(folder, site.folder)
    monkeypatch.delitem(sys.modules, module.stem, raising=False)
    outcomes = {outcome.check: outcome for outcome in run_kit("target", "bad-target")}
    assert outcomes["declares what it does"].state is State.SKIPPED
    assert outcomes["computes every operator"].message.startswith("4 of 20 samples are wrong: Sqrt(")


def test_a_plugin_in_a_single_file_is_checked_too(tpumlir: Any, tmp_path: Path) -> None:
    source = (write_package("op", "acme-file", tmp_path) / "tpumlir_acme_file.py").read_text()
    file = tmp_path / "work" / "swish.py"
    file.write_text(source)
    good = tpumlir("plugins", "check", "acme_file.AcmeFile", "--plugin", "swish.py")
    assert (good.returncode, good.stderr) == (0, "")
    assert "9 passed, 0 failed, 2 skipped" in good.stdout
    file.write_text(source.replace("top.Mul", "top.Add"))
    bad = tpumlir("plugins", "check", "acme_file.AcmeFile", "--plugin", "swish.py")
    assert bad.returncode == 1
    assert "failed  decomposes into the same: acme_file.AcmeFile(1x3x4x5): decompose does not compute" in bad.stdout
