"""Plugins: found without import, checked, loaded one by one, and never the undoing of one another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tpumlir_core.errors import PluginError, PluginFault
from tpumlir_core.plugins import FRONTEND, HOOK, RUNNER, Health, PluginManager
from tpumlir_core.plugins.choice import recognize
from tpumlir_core.plugins.hooks import load_hooks
from tpumlir_core.stages import Session

RUNNERS = "tpumlir.runners"
GOOD = """
    from tpumlir_core.plugins.extension_points import Runner

    class Good(Runner):
        def recognizes(self, path, head):
            return head.startswith(b"good")

        def run(self, path, inputs):
            return dict(inputs)
"""


def discover(site: Any, **environment: str) -> PluginManager:
    return PluginManager.discover(environment, [str(site.folder)])


def health(manager: PluginManager) -> dict[str, str]:
    return {plugin.name: plugin.health.value for plugin in manager.plugins()}


def test_listing_imports_nothing_and_is_sorted(site: Any) -> None:
    site.install("acme-b", {RUNNERS: {"zeta": "acme_never:A", "beta": "acme_never:B"}}, {"acme_never": "raise SystemExit(9)"})
    site.install("acme-a", {"tpumlir.frontends": {"alpha": "acme_never:C"}, "console_scripts": {"x": "acme_never:main"}})
    manager = discover(site)
    assert [(p.kind, p.name) for p in manager.plugins()] == [("frontend", "alpha"), ("runner", "beta"), ("runner", "zeta")]
    assert set(health(manager).values()) == {"ok"}
    assert "acme_never" not in sys.modules


def test_a_healthy_plugin_is_loaded_once(site: Any) -> None:
    site.install("acme", {RUNNERS: {"good": "acme_once:Good"}}, {"acme_once": GOOD})
    manager = discover(site)
    assert type(manager.get(RUNNER, "good")).__name__ == "Good"
    assert manager.get(RUNNER, "good") is manager.get(RUNNER, "good")


def test_an_unknown_name_is_answered_with_the_known_ones(site: Any) -> None:
    site.install("acme", {RUNNERS: {"good": "acme_known:Good"}}, {"acme_known": GOOD})
    with pytest.raises(PluginError, match=r"no runner is called 'bad' \(installed: good\)"):
        discover(site).get(RUNNER, "bad")


@pytest.mark.parametrize(
    ("source", "state", "reason"),
    [
        ("raise RuntimeError('no\\nluck')", Health.BROKEN, "RuntimeError: no luck"),
        ("raise SystemExit(3)", Health.BROKEN, "SystemExit: 3"),
        ("assert False, 'never'", Health.BROKEN, "AssertionError: never"),
        ("this is no python", Health.BROKEN, "SyntaxError"),
        ("import acme_library_that_is_absent.part", Health.MISSING, "pip install acme_library_that_is_absent"),
        ("class Other: pass", Health.BROKEN, "AttributeError"),
        ("class Plugin: pass", Health.BROKEN, "a runner must be a tpumlir_core.plugins.extension_points:Runner"),
        ("class Plugin:\n    def __init__(self, needed): pass", Health.BROKEN, "TypeError"),
    ],
)
def test_what_fails_to_load_keeps_its_reason_and_harms_no_other(
    site: Any, request: pytest.FixtureRequest, source: str, state: Health, reason: str
) -> None:
    module = f"acme_sick_{request.node.callspec.indices['source']}"
    site.install("acme-sick", {RUNNERS: {"bad": f"{module}:Plugin"}}, {module: source})
    site.install("acme-good", {RUNNERS: {"good": "acme_neighbour:Good"}}, {"acme_neighbour": GOOD})
    manager = discover(site)
    with pytest.raises(PluginError) as caught:
        manager.get(RUNNER, "bad")
    assert "acme-sick 1.0" in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert manager.find(RUNNER, "bad").health is state
    assert [name for name, _ in manager.load_all(RUNNER)] == ["good"]


def test_a_name_that_two_distributions_claim_goes_to_neither(site: Any) -> None:
    for number in (1, 2):
        site.install(f"acme-{number}", {RUNNERS: {"good": "acme_two:Good", f"own{number}": "acme_two:Good"}}, {"acme_two": GOOD})
    manager = discover(site)
    with pytest.raises(PluginError, match=r"acme-1 1.0 and acme-2 1.0 both bring it"):
        manager.get(RUNNER, "good")
    assert manager.names(RUNNER) == ["own1", "own2"]
    settled = discover(site, TPUMLIR_DISABLE="acme-2")
    assert settled.names(RUNNER) == ["good", "own1"]


def test_the_same_distribution_twice_on_the_path_counts_once(site: Any, tmp_path: Path) -> None:
    site.install("acme", {RUNNERS: {"good": "acme_twice:Good"}}, {"acme_twice": GOOD}, version="2.0")
    other = type(site)(tmp_path / "older")
    other.install("Acme", {RUNNERS: {"good": "acme_twice:Good"}}, version="1.0")
    plugins = PluginManager.discover({}, [str(site.folder), str(other.folder)]).plugins()
    assert [(p.candidate.version, p.health) for p in plugins] == [("2.0", Health.OK)]


@pytest.mark.parametrize(
    ("requirement", "state", "reason"),
    [
        ("tpumlir-core>=99", Health.INCOMPATIBLE, "it needs tpumlir-core >=99, this is"),
        ("tpumlir_core<0.1", Health.INCOMPATIBLE, "it needs tpumlir-core <0.1"),
        ("acme-that-is-absent>=2", Health.MISSING, "pip install 'acme-that-is-absent>=2'"),
        ("numpy<1", Health.MISSING, "pip install 'numpy<1'"),
        (">>>", Health.BROKEN, "cannot be read"),
    ],
)
def test_requirements_are_checked_from_metadata(site: Any, requirement: str, state: Health, reason: str) -> None:
    site.install("acme", {RUNNERS: {"bad": "acme_need:A"}}, {"acme_need": "raise SystemExit(9)"}, requires=(requirement,))
    plugin = discover(site).find(RUNNER, "bad")
    assert plugin.health is state
    assert reason in plugin.reason
    assert "acme_need" not in sys.modules


def test_requirements_of_extras_and_other_systems_do_not_count(site: Any) -> None:
    requires = ("acme-absent; extra == 'more'", "acme-absent; python_version < '3'", "tpumlir-core>=0.1,<99")
    site.install("acme", {RUNNERS: {"good": "acme_extra:Good"}}, {"acme_extra": GOOD}, requires=requires)
    assert health(discover(site)) == {"good": "ok"}


def test_a_module_that_is_not_there_is_broken_before_import(site: Any) -> None:
    site.install("acme", {RUNNERS: {"bad": "acme_gone.part:A"}})
    assert health(discover(site)) == {"bad": "broken"}


def test_unreadable_entry_points_are_reported_beside_good_ones(site: Any) -> None:
    site.install("acme-bad", {})
    (site.folder / "acme_bad-1.0.dist-info" / "entry_points.txt").write_text("[tpumlir.runners]\nno equals sign\n")
    site.install("acme-good", {RUNNERS: {"good": "acme_read:Good"}}, {"acme_read": GOOD})
    assert health(discover(site)) == {"acme-bad": "broken", "good": "ok"}


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"TPUMLIR_DISABLE": "a"}, ["b"]),
        ({"TPUMLIR_DISABLE": "runner:a, frontend:b"}, ["b"]),
        ({"TPUMLIR_DISABLE": "Acme_Runners"}, []),
        ({"TPUMLIR_PLUGINS": "b"}, ["b"]),
        ({"TPUMLIR_PLUGINS": "acme-runners"}, ["a", "b"]),
        ({"TPUMLIR_PLUGINS": ""}, []),
        ({"TPUMLIR_PLUGINS": "a,b", "TPUMLIR_DISABLE": "b"}, ["a"]),
    ],
)
def test_switched_off_before_import(site: Any, environment: dict[str, str], names: list[str]) -> None:
    site.install("acme-runners", {RUNNERS: {"a": "acme_switch:Good", "b": "acme_switch:Good"}}, {"acme_switch": GOOD})
    manager = discover(site, **environment)
    assert manager.names(RUNNER) == names
    assert "acme_switch" not in sys.modules
    if "a" not in names:
        with pytest.raises(PluginError, match=r"disabled: .*TPUMLIR_"):
            manager.get(RUNNER, "a")


def test_a_fault_in_a_call_names_plugin_version_and_action(site: Any) -> None:
    source = GOOD.replace("return dict(inputs)", "raise ValueError('odd')")
    site.install("acme", {RUNNERS: {"faulty": "acme_fault:Good"}}, {"acme_fault": source}, version="4.2")
    manager = discover(site)
    runner = manager.get(RUNNER, "faulty")
    message = r"runner faulty of acme 4.2 failed in run: ValueError: odd"
    with pytest.raises(PluginFault, match=message), manager.calling(RUNNER, "faulty", "run"):
        runner.run(Path("x"), {})


def test_one_that_fails_to_recognize_is_passed_over(site: Any, tmp_path: Path) -> None:
    faulty = GOOD.replace('return head.startswith(b"good")', "raise ValueError('odd')")
    site.install("acme-1", {RUNNERS: {"a-faulty": "acme_r1:Good"}}, {"acme_r1": faulty})
    site.install("acme-2", {RUNNERS: {"good": "acme_r2:Good"}}, {"acme_r2": GOOD})
    (tmp_path / "file").write_bytes(b"good file")
    (tmp_path / "other").write_bytes(b"else")
    manager = discover(site)
    found = recognize(RUNNER, tmp_path / "file", manager)
    assert found is not None
    assert found[0] == "good"
    assert recognize(RUNNER, tmp_path / "other", manager) is None
    assert health(manager) == {"a-faulty": "broken", "good": "ok"}


HOOKS = """
    from tpumlir_core.plugins.hookspecs import hookimpl

    seen = []

    @hookimpl
    def {hook}(stage):
        {body}
"""


def test_hooks_are_called_and_a_wrong_one_is_set_aside(site: Any) -> None:
    good = HOOKS.format(hook="stage_finished", body="seen.append(stage)")
    site.install("acme-1", {"tpumlir.hooks": {"a-wrong": "acme_h1"}}, {"acme_h1": HOOKS.format(hook="no_such_hook", body="pass")})
    site.install("acme-2", {"tpumlir.hooks": {"b-sick": "acme_h2"}}, {"acme_h2": "import acme_absent_library"})
    site.install("acme-3", {"tpumlir.hooks": {"c-good": "acme_h3"}}, {"acme_h3": good})
    manager = discover(site)
    session = Session(manager)
    with session.stage("import", "x"):
        pass
    assert sys.modules["acme_h3"].seen == ["import"]
    assert health(manager) == {"a-wrong": "broken", "b-sick": "missing dependency", "c-good": "ok"}
    assert "no_such_hook" in manager.find(HOOK, "a-wrong").reason


def test_a_hook_that_fails_is_named(site: Any) -> None:
    site.install("acme", {"tpumlir.hooks": {"odd": "acme_h4"}}, {"acme_h4": HOOKS.format(hook="stage_started", body="1 / 0")})
    manager = discover(site)
    assert load_hooks(manager).has_plugin("odd")
    message = r"hook odd of acme 1.0 failed in stage_started: ZeroDivisionError"
    with pytest.raises(PluginFault, match=message), Session(manager).stage("x", "y"):
        raise AssertionError("the stage must not run")


def test_kinds_do_not_share_names(site: Any) -> None:
    site.install("acme", {RUNNERS: {"same": "acme_kinds:Good"}, "tpumlir.frontends": {"same": "acme_kinds:Good"}}, {"acme_kinds": GOOD})
    manager = discover(site)
    assert manager.names(RUNNER) == manager.names(FRONTEND) == ["same"]
    with pytest.raises(PluginError, match="a frontend must be"):
        manager.get(FRONTEND, "same")
