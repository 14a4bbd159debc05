"""Hooks: passes, reports, stages; each plugin from a distribution of its own, made up as a folder and installed by pip."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tpumlir_core import api
from tpumlir_core.errors import InputError, PluginError, PluginFault
from tpumlir_core.ir import Function, Module, TensorType, WeightStore, top
from tpumlir_core.passes import run_pipeline
from tpumlir_core.passes.foreign import LEFT_TO_IMPORTS, fingerprint
from tpumlir_core.plugins import CALIBRATOR, HOOK, Health, PluginManager
from tpumlir_core.stages import Session

LISTING_TARGET = """
    import json

    from tpumlir_float.lowering import FloatQuantizer
    from tpumlir_core.ir.text import parse_module
    from tpumlir_core.plugins.extension_points import Artifact, Frontend, Target

    class Text(Frontend):
        def recognizes(self, path, head):
            return path.suffix == ".toy"

        def load(self, path, options):
            return parse_module(path.read_text())

        def operators(self):
            return []

    class Listing(Target):
        '''Its files list the operations.'''

        name = "listing"

        def supports(self, op, mode):
            return None

        def modes(self):
            return ("F32",)

        def compile(self, module):
            names = [op.opcode for op in module.function.operations]
            return Artifact(b"LISTING" + json.dumps([names, module.made_by]).encode())

        def recognizes(self, path, head):
            return head.startswith(b"LISTING")

        def describe(self, data):
            return {"operations": len(json.loads(data[7:])[0])}
"""
LISTING_POINTS = {
    "tpumlir.frontends": {"text": "acme_listing:Text"},
    "tpumlir.targets": {"listing": "acme_listing:Listing"},
    "tpumlir.quantizers": {"plain": "acme_listing:FloatQuantizer"},
}


@dataclass(frozen=True)
class Package:
    """A tiny distribution of one module."""

    name: str
    entry_points: Mapping[str, Mapping[str, str]]
    module: str
    source: str

    def wheel(self, folder: Path) -> Path:
        """The file that a build would give."""
        path = folder / f"{self.name.replace('-', '_')}-1.0-py3-none-any.whl"
        groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in self.entry_points.items())
        files = {
            f"{self.module}.py": dedent(self.source),
            "METADATA": f"Metadata-Version: 2.1\nName: {self.name}\nVersion: 1.0\n",
            "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "entry_points.txt": "".join(groups),
            "RECORD": "",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name if name.endswith(".py") else f"{path.name.split('-py3')[0]}.dist-info/{name}", text)
        return path


PEAKS = Package("acme-peaks", {"tpumlir.calibrators": {"peaks": "acme_peaks:Peaks"}}, "acme_peaks", """
    from tpumlir_core.plugins.extension_points import CalibratedRange, Calibrator

    class Peaks(Calibrator):
        '''From the least to the greatest value that was seen.'''

        def calibrate(self, tensors):
            found = {}
            for sample in tensors:
                for name, array in sample.items():
                    low, high = found.get(name, (array.min(), array.max()))
                    found[name] = min(low, array.min()), max(high, array.max())
            return {name: CalibratedRange(max(-low, high), low, high) for name, (low, high) in found.items()}
""")  # fmt: skip
INVERSES = Package("acme-inverses", {"tpumlir.hooks": {"inverses": "acme_inverses"}}, "acme_inverses", """
    from dataclasses import dataclass
    from typing import ClassVar

    from tpumlir_core.ir import top
    from tpumlir_core.passes import rewrite
    from tpumlir_core.plugins.hookspecs import Insert, Pass, hookimpl

    def log_of_exp(op, rewriter):
        below = op.input.owner
        return isinstance(below, top.Exp) and rewriter.forward(op, below.input)

    @dataclass(frozen=True)
    class CancelInverses(Pass):
        name: ClassVar[str] = "acme-cancel-inverses"

        def run(self, module):
            return rewrite(module, {"top.Log": (log_of_exp,)})

    @hookimpl
    def register_passes(registry):
        registry.register(CancelInverses)

    @hookimpl
    def extend_pipeline(pipeline):
        return [Insert(CancelInverses(), after="canonicalize")] if pipeline == "optimize" else []
""")  # fmt: skip
HELLO = Package("acme-hello", {"tpumlir.commands": {"acme-hello": "acme_hello:command"}}, "acme_hello", """
    import click

    @click.command("acme-hello")
    @click.option("--name", default="world")
    def command(name):
        '''Greets.'''
        click.echo(f"hello {name}")
""")  # fmt: skip
PACKAGES = (PEAKS, INVERSES, HELLO)


def network(*kinds: Any) -> Module:
    """A chain of operations without attributes on x [2, 3]."""
    operations = [top.Input.create([], [("x", TensorType((2, 3)))])]
    for index, kind in enumerate(kinds):
        operations.append(kind.create([operations[-1].results[0]], [f"v{index}"]))
    return Module("net", Function("main", operations, [operations[-1].results[0]]), WeightStore(), {"module.state": "TOP_F32"})


@pytest.fixture
def work(site: Any, tmp_path: Path) -> Path:
    """The folder that commands run in, with a network: relu(log(exp(x))); the target ``listing`` is installed."""
    from tpumlir_core.ir.text import print_module

    site.install("acme-listing", LISTING_POINTS, {"acme_listing": LISTING_TARGET})
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    (folder / "net.toy").write_text(print_module(network(top.Exp, top.Log, top.Relu)))
    return folder


@pytest.fixture(scope="session")
def pip_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as pip installs their wheels."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("pip")
    files = [str(package.wheel(wheels)) for package in PACKAGES]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(folder), *files], check=True)
    return folder


@pytest.fixture(params=["folder", "pip"])
def installed(request: pytest.FixtureRequest, work: Path, site: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """``work``, with the three packages installed in one of two ways."""
    if request.param == "pip":
        monkeypatch.syspath_prepend(str(request.getfixturevalue("pip_site")))
    else:
        for package in PACKAGES:
            site.install(package.name, package.entry_points, {package.module: package.source})
    yield work
    for package in PACKAGES:
        sys.modules.pop(package.module, None)


COMPILE = ("compile", "net.toy", "--chip", "listing", "--quantize", "F32", "-o", "net.out")


def listing(work: Path) -> tuple[list[str], dict[str, str]]:
    names, made_by = json.loads((work / "net.out").read_bytes()[7:])
    return names, made_by


# --- from distributions of their own --------------------------------------------------------------------------------
def test_a_calibrator_of_its_own(installed: Path, tpumlir: Any) -> None:
    import numpy as np

    plugins = json.loads(tpumlir("plugins", "list", "--json", "--kind", "calibrator").stdout)
    assert ("peaks", "acme-peaks", "ok") in [(p["name"], p["distribution"], p["health"]) for p in plugins]
    calibrator = PluginManager.discover().get(CALIBRATOR, "peaks")
    ranges = calibrator.calibrate([{"x": np.array([1, 2], np.float32)}, {"x": np.array([-3, 0], np.float32)}])
    assert (ranges["x"].threshold, ranges["x"].low, ranges["x"].high) == (3, -3, 2)


def test_a_pass_of_its_own_after_a_named_one(installed: Path, tpumlir: Any) -> None:
    made = tpumlir(*COMPILE, "--print-after", "acme-cancel-inverses")
    assert made.returncode == 0, made.stderr
    assert made.stderr.startswith("// after acme-cancel-inverses")
    names, made_by = listing(installed)
    assert names == ["top.Input", "tpu.Relu"]
    assert made_by["acme-inverses"] == "1.0"
    assert tpumlir(*COMPILE, TPUMLIR_DISABLE="acme-inverses").returncode == 0
    names, made_by = listing(installed)
    assert names == ["top.Input", "tpu.Exp", "tpu.Log", "tpu.Relu"]
    assert "acme-inverses" not in made_by
    wrong = tpumlir(*COMPILE, "--print-after", "acme-cancel")
    assert (wrong.returncode, "acme-cancel-inverses" in wrong.stderr) == (2, True)


def test_it_runs_right_after_the_last_of_that_name(installed: Path) -> None:
    order: list[str] = []
    registry = Session().passes
    run_pipeline("optimize", network(top.Relu), registry=registry, observer=lambda step, m, changed, s: order.append(step.name))
    assert order.index("acme-cancel-inverses") == max(i for i, name in enumerate(order) if name == "canonicalize") + 1


def test_a_command_of_its_own(installed: Path, tpumlir: Any) -> None:
    assert "acme-hello" in tpumlir("--help").stdout
    assert "acme_hello" not in sys.modules
    assert tpumlir("acme-hello", "--name", "tpu").stdout == "hello tpu\n"


# --- pipelines --------------------------------------------------------------------------------------------------------
HOOK_HEAD = """
    import os
    from dataclasses import dataclass
    from typing import ClassVar

    from tpumlir_core.passes import FoldConstants
    from tpumlir_core.plugins.hookspecs import Insert, Pass, Section, hookimpl

"""
PASS = """
    @dataclass(frozen=True)
    class {cls}(Pass):
        name: ClassVar[str] = "{name}"

        def run(self, module):
            {body}
"""


def install_hook(site: Any, name: str, source: str) -> None:
    """The hook plugin ``name`` of the distribution acme-``name``."""
    site.install(f"acme-{name}", {"tpumlir.hooks": {name: f"acme_{name}"}}, {f"acme_{name}": dedent(HOOK_HEAD) + dedent(source)})


def install_pass(site: Any, name: str, body: str, where: str = 'after="canonicalize"', pipeline: str = "optimize") -> None:
    """A hook plugin whose pass ``acme-NAME`` is inserted at ``where``."""
    hook = f"@hookimpl\ndef extend_pipeline(pipeline):\n    return [Insert(P(), {where})] if pipeline == '{pipeline}' else None\n"
    install_hook(site, name, dedent(PASS.format(cls="P", name=f"acme-{name}", body=body)) + hook)


def ran(session: Session, pipeline: str = "optimize") -> list[str]:
    """Names of the passes of a pipeline in the order that they run in."""
    order: list[str] = []
    run_pipeline(pipeline, network(top.Relu), registry=session.passes, observer=lambda step, m, changed, s: order.append(step.name))
    return order


def test_before_is_the_first_and_passes_of_other_plugins_can_be_named(work: Path, site: Any) -> None:
    install_pass(site, "b", "return False", 'before="canonicalize"')
    install_pass(site, "a", "return False", 'after="acme-b"')
    install_pass(site, "c", "return False", 'after="acme-b"')
    order = ran(Session())
    first = order.index("acme-b")
    assert order[first : first + 4] == ["acme-b", "acme-a", "acme-c", "canonicalize"]
    assert order.count("acme-b") == 1


def test_a_target_has_its_own_preparation(work: Path, site: Any) -> None:
    hook = """
        @hookimpl
        def extend_pipeline(pipeline, passes, options):
            assert [step.name for step in passes][-1] == "eliminate-dead"
            return [Insert(P(), before="eliminate-dead")] if options.target == "listing" else []
    """
    body = "module.function.operations[-1].output.name = 'renamed'; return True"
    install_hook(site, "own", dedent(PASS.format(cls="P", name="acme-own", body=body)) + dedent(hook))
    artifact = api.deploy(network(top.Relu, top.Relu), chip="listing")
    names, made_by = json.loads(artifact.data[7:])
    assert made_by["acme-own"] == "1.0"
    assert "acme-own" not in ran(Session(), "prepare")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("return [Insert(FoldConstants(), after='canonicalise')]", "fold-constants of acme-odd 1.0 is to run after canonicalise, but"),
        ("return [Insert(FoldConstants())]", "hook odd of acme-odd 1.0 failed in extend_pipeline: Insert of pass fold-constants: name"),
        ("return ['canonicalize']", "hook odd of acme-odd 1.0 failed in extend_pipeline: it gave 'canonicalize'; wanted"),
        ("return 1 / 0", "hook odd of acme-odd 1.0 failed in extend_pipeline: ZeroDivisionError"),
        ("return Insert(Nameless(), after='canonicalize')", "acme-odd 1.0 brings a pass that cannot be: pass name '' of Nameless"),
        ("return Insert(Taken(), after='canonicalize')", "acme-odd 1.0 brings a pass that cannot be: pass name 'fold-constants' of Taken"),
    ],
)
def test_insertions_that_cannot_be_are_that_plugins_fault(work: Path, site: Any, tpumlir: Any, source: str, message: str) -> None:
    classes = PASS.format(cls="Nameless", name="", body="return False") + PASS.format(cls="Taken", name="fold-constants", body="return 0")
    install_hook(site, "odd", dedent(classes) + f"@hookimpl\ndef extend_pipeline():\n    {source}\n")
    result = tpumlir(*COMPILE)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1), result.stderr
    assert message in result.stderr
    assert not (work / "net.out").exists()


def test_a_pipeline_of_its_own_can_be_extended_by_others(work: Path, site: Any) -> None:
    hook = """
        @hookimpl
        def register_passes(registry):
            registry.register_pipeline("acme", lambda options: [FoldConstants(), P()])
    """
    body = "raise KeyError('x')"
    install_hook(site, "own", dedent(PASS.format(cls="P", name="acme-own", body=body)) + dedent(hook))
    install_pass(site, "other", "return False", 'before="acme-own"', "acme")
    registry = Session().passes
    assert registry.pipelines() == ["acme", "optimize", "prepare"]
    module = network(top.Relu)
    with pytest.raises(PluginFault, match=r"pass acme-own of acme-own 1.0 failed on net: KeyError: 'x'"):
        run_pipeline("acme", module, registry=registry)
    assert module.made_by["acme-other"] == "1.0"


def test_a_registered_name_that_is_taken(work: Path, site: Any) -> None:
    install_hook(site, "twice", "@hookimpl\ndef register_passes(registry):\n    registry.register(FoldConstants)\n")
    with pytest.raises(PluginFault, match=r"hook twice of acme-twice 1.0 failed in register_passes: pass name 'fold-constants'"):
        assert Session().passes


# --- passes that break their promises ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("module.function.operations[1].output.name = 'other'; return False", "changed net, but its run did not return True"),
        ("module.attributes['acme'] = 1", "changed net, but its run did not return True"),
        ("module.function.operations.pop(0); return True", "operand x is not defined before its use"),
        ("module.function.operations.pop(0); return False", "operand x is not defined before its use"),
        ("os.environ['ACME_MARK'] = '1'; return False", "changes global state: os.environ (ACME_MARK)"),
        ("import numpy; numpy.random.rand(); return False", "changes global state: numpy's global random generator"),
        ("raise SystemExit(0)", "failed on net: SystemExit: 0"),
        ("return module.nothing", "failed on net: AttributeError: 'Module' object has no attribute 'nothing'"),
    ],
)
@pytest.mark.parametrize("pipeline", ["optimize", "prepare"])
def test_impure_passes_are_reported_with_pass_and_plugin(
    work: Path, site: Any, tpumlir: Any, monkeypatch: pytest.MonkeyPatch, body: str, message: str, pipeline: str
) -> None:
    monkeypatch.setenv("ACME_MARK", "0")
    install_pass(site, "bad", body, 'after="fold-constants"', pipeline)
    result = tpumlir(*COMPILE)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1), result.stderr
    assert "pass acme-bad of acme-bad 1.0" in result.stderr
    assert message in result.stderr
    assert not (work / "net.out").exists()


def test_errors_for_the_user_stay_what_they_are(work: Path, site: Any, tpumlir: Any) -> None:
    body = "from tpumlir_core.errors import UnsupportedError; raise UnsupportedError('no Exp in our house')"
    install_pass(site, "policy", body)
    result = tpumlir(*COMPILE)
    assert (result.returncode, result.stderr) == (2, "tpumlir: error: no Exp in our house\n")


def test_fingerprints_tell_modules_apart() -> None:
    def made(value: float = 1.0, kind: Any = top.Relu, name: str = "w") -> Module:
        import numpy as np

        module = network(kind)
        module.weights[name] = np.full((2, 3), value, np.float32)
        return module

    assert fingerprint(made()) == fingerprint(made())
    assert len({fingerprint(m) for m in (made(), made(2.0), made(kind=top.Exp), made(name="v"))}) == 4


def test_the_state_that_imports_may_change_is_watched_elsewhere() -> None:
    from tpumlir_core.plugins.state import global_state

    assert global_state().keys() > LEFT_TO_IMPORTS


# --- stages and reports -----------------------------------------------------------------------------------------------
def test_sections_of_a_report(work: Path, site: Any, tpumlir: Any) -> None:
    install_hook(site, "size", """
        @hookimpl
        def report_sections(path, facts):
            return [Section("Acme", {"file": path.name, "of bytes": path.stat().st_size, "facts": len(facts) > 1})]
    """)  # fmt: skip
    made = tpumlir(*COMPILE)
    size = (work / "net.out").stat().st_size
    wanted = f"Acme\n  file: net.out\n  of bytes: {size}\n  facts: True\n"
    assert made.stdout.endswith(wanted), made.stderr
    assert tpumlir("info", "net.out").stdout.endswith(wanted)
    expected = [{"title": "Acme", "facts": {"file": "net.out", "of bytes": size, "facts": True}}]
    assert json.loads(tpumlir(*COMPILE, "--json").stdout)["sections"] == expected
    assert json.loads(tpumlir("info", "net.out", "--json").stdout)["sections"] == expected
    assert "sections" not in json.loads(tpumlir("info", "net.out", "--json", TPUMLIR_DISABLE="size").stdout)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("return ['Acme']", "it gave 'Acme'; wanted are Section"),
        ("return Section('Acme', {'x': {1}})", "the facts of section 'Acme' are no JSON"),
        ("raise KeyError('x')", "KeyError: 'x'"),
    ],
)
def test_a_section_that_is_none_is_that_plugins_fault(work: Path, site: Any, tpumlir: Any, answer: str, message: str) -> None:
    install_hook(site, "odd", f"@hookimpl\ndef report_sections():\n    {answer}\n")
    result = tpumlir(*COMPILE)
    assert (result.returncode, len(result.stderr.splitlines())) == (3, 1)
    assert f"hook odd of acme-odd 1.0 failed in report_sections: {message}" in result.stderr


def test_stages_are_told_to_a_class_too(work: Path, site: Any, tpumlir: Any) -> None:
    install_hook(site, "watch", """
        class Watch:
            def __init__(self):
                self.seen = []

            @hookimpl
            def stage_started(self, stage, subject):
                self.seen.append(f"{stage} {subject}")

            @hookimpl
            def report_sections(self):
                return Section("Stages", {"seen": self.seen})
    """)  # fmt: skip
    info = next(site.folder.glob("acme_watch*.dist-info")) / "entry_points.txt"
    info.write_text("[tpumlir.hooks]\nwatch = acme_watch:Watch\n")
    (section,) = json.loads(tpumlir(*COMPILE, "--json").stdout)["sections"]
    assert section["facts"]["seen"] == ["import net.toy", "optimize net", "lower net", "compile net"]


# --- sick ones --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("@hookimpl\ndef stage_begun(stage):\n    pass\n", "unknown hook 'stage_begun'"),
        ("@hookimpl\ndef stage_started(stages):\n    pass\n", "stages"),
        ("class Watch:\n    def __init__(self, needed):\n        pass\n", ""),
    ],
)
def test_a_misspelt_hook_is_that_plugins_fault(work: Path, site: Any, tpumlir: Any, source: str, reason: str) -> None:
    install_hook(site, "typo", source)
    install_pass(site, "good", "return False")
    if "Watch" in source:
        (next(site.folder.glob("acme_typo*.dist-info")) / "entry_points.txt").write_text("[tpumlir.hooks]\ntypo = acme_typo:Watch\n")
        reason = "Watch() failed: TypeError"
    result = tpumlir(*COMPILE)
    assert result.returncode == 0
    assert listing(work)[1]["acme-good"] == "1.0"
    assert result.stderr.startswith("tpumlir: warning: hook typo of acme-typo 1.0 is left out: broken: ")
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert reason in tpumlir("plugins", "doctor", TPUMLIR_PLUGINS="typo").stdout
    with pytest.raises(PluginError, match=r"hook typo of acme-typo 1.0: broken: "):
        PluginManager.discover().get(HOOK, "typo")


def test_one_object_in_two_entry_points(work: Path, site: Any) -> None:
    install_pass(site, "solo", "return False")
    info = next(site.folder.glob("acme_solo*.dist-info")) / "entry_points.txt"
    info.write_text("[tpumlir.hooks]\na = acme_solo\nb = acme_solo\n")
    session = Session(PluginManager.discover({"TPUMLIR_PLUGINS": "acme-solo"}))
    assert session.hooks.names() == ["a"]
    assert [(plugin.name, plugin.health) for plugin in session.hooks.sick()] == [("b", Health.BROKEN)]


def test_an_unknown_pipeline_is_an_input_error() -> None:
    with pytest.raises(InputError, match="pipeline 'optimise' is not known"):
        run_pipeline("optimise", network(top.Relu), registry=Session(PluginManager([])).passes)


def test_nothing_is_imported_where_there_is_no_hook() -> None:
    code = """
        import sys
        from tpumlir_core.plugins import PluginManager
        from tpumlir_core.stages import Session

        session = Session(PluginManager([]))
        with session.stage("a", "b"):
            pass
        assert session.passes.pipelines() == ["optimize", "prepare"]
        assert not session.hooks.report_sections("x", {})
        assert not {"pluggy", "tpumlir_core.plugins.hookspecs", "tpumlir_core.testing"} & sys.modules.keys()
    """
    subprocess.run([sys.executable, "-c", dedent(code)], check=True)
