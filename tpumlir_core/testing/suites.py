"""Which checks belong to which kind, and the two ways to run them: as tests of pytest, or as a list of outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tpumlir_core.plugins import PluginManager, kind_named
from tpumlir_core.testing import general
from tpumlir_core.testing.kit import Check, CheckFailed, CheckSkipped, Outcome, Subject


def checks_of(kind: str) -> tuple[Check, ...]:
    """All checks of a kind, those of every kind first. Raises InputError for a name that is no kind."""
    from tpumlir_core.testing import calibrators, frontends, hooks, interpreters, operators, quantizers, runners, targets

    kind_named(kind)
    special: dict[str, tuple[Check, ...]] = {
        "frontend": frontends.CHECKS,
        "quantizer": quantizers.CHECKS,
        "calibrator": calibrators.CHECKS,
        "target": targets.CHECKS,
        "runner": runners.CHECKS,
        "interpreter": interpreters.CHECKS,
        "executor": interpreters.EXECUTOR_CHECKS,
        "op": operators.CHECKS,
        "hook": hooks.HOOK_CHECKS,
        "command": hooks.COMMAND_CHECKS,
    }
    return (*general.CHECKS, *special.get(kind, ()))


def run_kit(kind: str, name: str, plugins: PluginManager | None = None, quick: bool = False) -> Iterator[Outcome]:
    """The outcome of every check on an installed plugin; ``quick``: on one sample of an operation instead of all, and fewer damaged files.

    Raises PluginError when no plugin is called so."""
    subject = Subject(kind, name, plugins, quick)
    try:
        assert subject.plugin
        for check in checks_of(kind):
            yield check.outcome(subject)
    finally:
        subject.close()


def conformance(kind: str, name: str, quick: bool = False) -> type:
    """A class of tests for pytest, one for each check of the kind; assign it to a name that starts with Test.

    ``quick``: on one sample of an operation instead of all, and fewer damaged files, where a target's emulator or a
    framework is slow."""
    tests = {f"test_{check.name.replace(' ', '_')}": _test(check, kind, name, quick) for check in checks_of(kind)}
    return type(f"Conformance_{kind}_{name}", (), tests)


def _test(check: Check, kind: str, name: str, quick: bool) -> Any:
    def test(self: object) -> None:
        subject = Subject(kind, name, quick=quick)
        try:
            check.run(subject)
        except CheckSkipped as reason:
            import pytest

            pytest.skip(str(reason))
        except CheckFailed as failure:
            raise CheckFailed(f"{kind} {name}: {failure}") from failure.__cause__
        finally:
            subject.close()

    test.__doc__ = check.function.__doc__
    return test
