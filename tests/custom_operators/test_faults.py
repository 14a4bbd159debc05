"""Operators that are wrong: each is caught, in one line that names the plugin and what it did, and harms nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from tests.custom_operators.models import HEAD, IDENTITY, normal, operator_in, save, save_op, session_of
from tpumlir_core import api
from tpumlir_core.checks import Verification
from tpumlir_core.errors import InputError, PluginError, PluginFault, TpumlirError, UnsupportedError
from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.operators import operator_set
from tpumlir_core.stages import Session

KERNEL_HEAD = HEAD + "from tpumlir_bm1684x.custom import ElementwiseKernel\n"
KERNEL = """
    kernels = {"bm1684x": KERNEL}
    def infer(self, types):
        return [types[0]]
    def reference(self, x):
        return x
"""


def changed(old: str, new: str) -> str:
    """The identity with a part of it replaced."""
    assert old in IDENTITY
    return IDENTITY.replace(old, new)


def failure(file: Path, folder: Path) -> TpumlirError:
    """How compiling an acme::Op fails, verification included."""
    inputs = {"x": normal(2, 3)}
    with pytest.raises(TpumlirError) as caught:
        api.compile(save_op(folder, inputs), chip="bm1684x", verification=Verification(inputs), session=session_of(file))
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (changed("[types[0]]", "types[7]"), PluginFault, "failed in infer: IndexError"),
        (changed("[types[0]]", "types[0]"), PluginFault, "failed in infer: it gives TensorType"),
        (changed("[types[0]]", "[types[0]] * 2"), PluginFault, "failed in infer: it gives 2 types for the results output"),
        (changed("return [types[0]]", "raise ValueError('no\\nwhere')"), InputError, "node node (Op): acme.Op: no where"),
        (changed("return x", "return x.no_such"), PluginFault, "failed in reference: AttributeError"),
        (changed("return x", "return x[0]"), PluginFault, "shapes [(2, 3)], reference gives [(3,)]"),
        (changed("return x", "return x, x"), PluginFault, "reference gives [(2, 3), (2, 3)]"),
        (changed("builder(top.Relu, self.input)", "builder.no_such"), PluginFault, "failed in decompose: AttributeError"),
        (changed("builder(top.Relu, self.input)", "builder.reshape(self.input, 6)"), PluginFault, "failed in decompose: infer says"),
        (changed("builder(top.Relu, self.input)", "None"), UnsupportedError, "y_Op (acme.Op)"),
    ],
)
def test_a_fault_names_operator_and_file(tmp_path: Path, body: str, kind: type[TpumlirError], message: str) -> None:
    error = failure(operator_in(tmp_path, body), tmp_path)
    assert type(error) is kind, error
    assert message in str(error)
    if kind is PluginFault:
        assert "operator acme.Op of op.py file " in str(error)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("int", "failed in its kernel for bm1684x: int is neither a Kernel nor a GlobalKernel"),
        ('"no_such_module:Kernel"', "failed in making its kernel for bm1684x: ModuleNotFoundError"),
        ("ElementwiseKernel", "failed in making its kernel for bm1684x: TypeError"),
        (
            'type("Bad", (ElementwiseKernel,), {"compute": lambda self, op, operands, out, s, e: e.no_such()})',
            "failed in its kernel's emit for bm1684x: AttributeError",
        ),
    ],
)
def test_a_fault_of_a_kernel_names_operator_and_chip(tmp_path: Path, kernel: str, message: str) -> None:
    error = failure(operator_in(tmp_path, KERNEL.replace("KERNEL", kernel), head=KERNEL_HEAD), tmp_path)
    assert isinstance(error, PluginFault)
    assert "operator acme.Op of op.py file " in str(error)
    assert message in str(error)


@pytest.mark.parametrize(
    ("body", "declaration", "message"),
    [
        (IDENTITY, '@operator("Op")', "name it DIALECT.Name"),
        (IDENTITY, '@operator("top.Op")', "name it DIALECT.Name"),
        ("    pass\n", '@operator("acme.Op")', "it has no infer and no reference"),
        (IDENTITY.replace("decompose", "decompos"), '@operator("acme.Op")', "neither decompose nor kernels"),
        (IDENTITY + "\n    quantization = 'int4'\n", '@operator("acme.Op")', "there is float, same_scale"),
        ("    size: complex\n" + IDENTITY, '@operator("acme.Op")', "attribute size"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_at_import(tmp_path: Path, body: str, declaration: str, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        session_of(operator_in(tmp_path, body, declaration))
    assert "op.py: the plugin file cannot be imported: TypeError: " in str(caught.value)
    assert message in str(caught.value)


def installed(site: Any, *names: str, body: str = IDENTITY) -> Session:
    """A session with distributions of these names that all bring acme.Op; the first word of a name makes its module."""
    for name in names:
        source = f'{HEAD}\n@operator("acme.Op")\nclass Op(Operator):\n    sources = {{"onnx": "acme::Op"}}\n{body}'
        site.install(name, {"tpumlir.ops": {name: f"{name}_module:Op"}}, {f"{name}_module": source})
    plugins = PluginManager.discover({}, [str(site.folder), *sys.path])
    return Session(plugins)


def test_an_opcode_that_two_distributions_bring_goes_to_neither(site: Any, tpumlir: Any, tmp_path: Path) -> None:
    session = installed(site, "anvil", "bellows")
    path = save_op(tmp_path, {"x": normal(2, 3)})
    with pytest.raises(UnsupportedError, match=r"anvil of anvil 1\.0 is conflict \(anvil 1\.0 and bellows 1\.0 both bring acme\.Op; "):
        api.transform(path, session=session)
    states = {p["name"]: p["health"] for p in json.loads(tpumlir("plugins", "doctor", "--json").stdout)["plugins"] if p["kind"] == "op"}
    assert states == {"anvil": "conflict", "bellows": "conflict"}
    alone = Session(PluginManager.discover({"TPUMLIR_DISABLE": "bellows"}, [str(site.folder), *sys.path]))
    assert [op.opcode for op in api.transform(path, session=alone).function.operations] == ["top.Input", "acme.Op"]


def test_a_broken_operator_plugin_is_named_only_where_an_operator_is_missing(site: Any, tmp_path: Path) -> None:
    session = installed(site, "coke", body="    def infer(\n")
    inputs = {"x": normal(2, 3)}
    healthy = save(tmp_path / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"])], inputs, ["y"], {})
    api.compile(healthy, chip="bm1684x", session=session)
    assert "coke_module" not in sys.modules
    with pytest.raises(UnsupportedError, match=r"operator plugins that cannot be used: coke of coke 1\.0 is broken \(.*SyntaxError"):
        api.transform(save_op(tmp_path, inputs), session=session)


def test_an_operator_plugin_is_imported_only_for_its_operator(site: Any, tmp_path: Path) -> None:
    session = installed(site, "damper")
    inputs = {"x": normal(2, 3)}
    api.transform(save(tmp_path / "relu.onnx", [helper.make_node("Relu", ["x"], ["y"])], inputs, ["y"], {}), session=session)
    assert "damper_module" not in sys.modules
    api.transform(save_op(tmp_path, inputs), session=session)
    assert "damper_module" in sys.modules


def test_an_entry_point_that_is_no_operator_is_broken(site: Any) -> None:
    source = f"{HEAD}\nclass Bare(Operator):{IDENTITY}\nplain = 3"
    site.install("ember", {"tpumlir.ops": {"bare": "ember_module:Bare", "plain": "ember_module:plain"}}, {"ember_module": source})
    remark = operator_set(PluginManager.discover({}, [str(site.folder)])).remark()
    assert "put @operator(...) above the class" in remark
    assert "is no class derived from tpumlir_core.custom:Operator" in remark
