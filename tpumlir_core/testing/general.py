"""What plugins of every kind promise: to load, quickly and without traces, to keep the contract and to be documented."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from importlib import import_module, metadata
from typing import Any

from packaging.requirements import Requirement

from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.health import CORE
from tpumlir_core.testing.kit import FILE_MODULE, Check, CheckFailed, CheckSkipped, Subject, require

IMPORT_SECONDS = 0.15
"""What importing a plugin may take beyond the core's own import."""
ATTEMPTS = 6
"""How often the import is measured at most: what else runs on the machine can only make it slower."""
_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_LEAST_WORDS = 3


def loads(subject: Subject) -> None:
    """It is found, healthy, and its import gives what its kind asks for."""
    require(subject.extension is not None, f"{subject.plugin.candidate.value} is None")


def imports_clean(subject: Subject) -> None:
    """Importing it takes less than 150 ms beyond the core, imports nothing heavy, changes and prints nothing."""
    subject.require_metadata()
    facts: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        found = _probe(subject)
        facts = min((facts or found, found), key=lambda one: float(one["seconds"]))
        if facts["seconds"] < IMPORT_SECONDS:
            break
    module = facts["module"]
    for package, line in sorted(facts["heavy"].items()):
        raise CheckFailed(f"importing {module} imports {package} ({line}); import it inside the functions that use it")
    require(not facts["changed"], f"importing {module} changes global state: {'; '.join(facts['changed'])}")
    require(not facts["printed"], f"importing {module} prints {facts['printed'][:60]!r}")
    took = f"importing {module} takes {facts['seconds'] * 1000:.0f} ms, more than {IMPORT_SECONDS * 1000:.0f}"
    require(facts["seconds"] < IMPORT_SECONDS, f"{took}; import what is heavy inside functions")


def _probe(subject: Subject) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-m", "tpumlir_core.testing.probe", subject.kind.name, subject.name]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise CheckSkipped(f"it cannot be imported: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def names_itself_well(subject: Subject) -> None:
    """Its name is lower case, and its distribution says which versions of tpumlir-core it works with."""
    subject.require_metadata()
    candidate = subject.plugin.candidate
    plain = _NAME.fullmatch(subject.name)
    require(plain, f"entry point {subject.name!r} of {candidate.distribution}: use lower-case letters, digits, '-', '_' and '.'")
    if canonical(candidate.distribution) == CORE:
        return
    ranges = [Requirement(line).specifier for line in candidate.requires if canonical(Requirement(line).name) == CORE]
    missing = f"{candidate.distribution}: its pyproject.toml has no dependency on {CORE} with an upper bound, as in '{CORE}>=0.1,<0.2'"
    require(any(one.operator in ("<", "<=", "==", "~=") for specifier in ranges for one in specifier), missing)


def keeps_the_contract(subject: Subject) -> None:
    """Every method of its kind can be called as the contract says; a class is made without arguments."""
    if not subject.kind.contract:
        return
    module, _, attribute = subject.kind.contract.partition(":")
    contract = getattr(import_module(module), attribute)
    cls = subject.extension if subject.kind.of_classes else type(subject.extension)
    for name, promised in inspect.getmembers(contract, inspect.isfunction):
        if name in vars(contract) and not name.startswith("_") and module.startswith("tpumlir_core."):
            _same_call(cls, name, promised)


def _same_call(cls: type[Any], name: str, promised: Any) -> None:
    given = getattr(cls, name, None)
    where = f"{cls.__module__}.{cls.__qualname__}.{name}"
    require(callable(given), f"{where} cannot be called")
    assert given is not None
    wanted = list(inspect.signature(promised).parameters.values())
    have = list(inspect.signature(given).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in (*have, *wanted)):
        return
    told = f"{where}{inspect.signature(given)}: the contract is {name}{inspect.signature(promised)}"
    require([p.name for p in have[: len(wanted)]] == [p.name for p in wanted], told)
    extra = [p for p in have[len(wanted) :] if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    require(not extra, f"{told}; {', '.join(p.name for p in extra)} needs a default")


def is_documented(subject: Subject) -> None:
    """Its module and its class have docstrings of their own, its distribution a summary and a README."""
    candidate = subject.plugin.candidate
    module = import_module(candidate.value.partition(":")[0].strip())
    require(_words(module.__doc__), f"module {module.__name__} has no docstring")
    if subject.kind.contract.startswith("tpumlir_core."):
        cls = subject.extension if subject.kind.of_classes else type(subject.extension)
        require(cls.__dict__.get("__doc__"), f"class {cls.__module__}.{cls.__qualname__} has no docstring of its own")
    if canonical(candidate.distribution) == CORE or candidate.package.startswith(FILE_MODULE):
        return
    facts = metadata.metadata(candidate.distribution).json
    require(facts.get("summary"), f"{candidate.distribution} has no description in its pyproject.toml")
    require(_words(str(facts.get("description", ""))), f"{candidate.distribution} has no README: name one as readme in its pyproject.toml")


def _words(text: str | None) -> bool:
    return len((text or "").split()) >= _LEAST_WORDS


CHECKS = (
    Check("imports clean", imports_clean, loaded=False),  # first: what loading changes here, the fresh process would inherit
    Check("loads", loads, loaded=False),
    Check("names itself well", names_itself_well),
    Check("keeps the contract", keeps_the_contract),
    Check("is documented", is_documented),
)
