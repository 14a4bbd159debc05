"""What hook plugins and commands promise."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import click

from tpumlir_core.ir.verify import verify
from tpumlir_core.passes import builtin_registry
from tpumlir_core.passes.framework import Pass, PassRegistry, PipelineOptions
from tpumlir_core.plugins import PluginManager
from tpumlir_core.plugins.hooks import HookCaller, load_hooks
from tpumlir_core.testing.frontends import text
from tpumlir_core.testing.kit import Check, CheckFailed, Subject, require
from tpumlir_core.testing.networks import reference, small_networks
from tpumlir_core.verify import compare_tensors

STAGES = (("import", "net.model"), ("optimize", "net"), ("lower", "net"), ("compile", "net"))
FACTS = {"chip": "anychip", "bytes": 1234, "networks": [], "seconds": {"import": 0.1}}
TOLERANCE = (0.9999, 0.999)


def hooks_what_exists(subject: Subject) -> None:
    """Every function that it marks is a hook there is, and it marks at least one."""
    plugins = _alone(subject)
    hooks = load_hooks(plugins)
    reason = subject.plugin.reason or next((plugin.reason for plugin in plugins.plugins() if plugin.reason), "")
    require(not reason, reason)
    marked = [caller.name for plugin in hooks.get_plugins() for caller in hooks.get_hookcallers(plugin) or []]
    require(marked, f"{subject.plugin.candidate.value} implements no hook: mark functions with tpumlir_core.plugins.hookspecs.hookimpl")


def stands_every_stage(subject: Subject) -> None:
    """Its stage and report hooks take any stage and any facts, and print nothing to stdout."""
    caller = HookCaller(_alone(subject))
    with redirect_stdout(io.StringIO()) as printed:
        for stage, about in STAGES:
            caller.call("stage_started", stage=stage, subject=about)
            caller.call("stage_finished", stage=stage, subject=about, seconds=0.5)
        for facts in ({}, FACTS):
            caller.report_sections(Path("net.bmodel"), facts)
    require(not printed.getvalue(), f"its hooks print {printed.getvalue()[:60]!r} to stdout; use logging or stderr")


def passes_keep_the_meaning(subject: Subject) -> None:
    """Its passes leave valid networks that compute what they did, and say truly whether they changed anything."""
    for step, where, name in _runs(subject):
        sample = small_networks()[name]
        expected, before = reference(sample.module, sample.inputs), text(sample.module)
        changed = step.run(sample.module)
        require(isinstance(changed, bool), f"{where}: run gives {changed!r}; wanted is whether it changed anything")
        require(changed or text(sample.module) == before, f"{where}: run changes the network and says that it did not")
        verify(sample.module, where, CheckFailed)
        found = reference(sample.module, sample.inputs)
        require(set(found) == set(expected), f"{where}: the outputs are {sorted(found)}, were {sorted(expected)}")
        worst = ", ".join(f"{one.name} (cos {one.cosine:.6f})" for one in compare_tensors(found, expected, TOLERANCE).failed)
        require(not worst, f"{where}: the network computes something else afterwards: {worst}")


def passes_are_pure(subject: Subject) -> None:
    """Its passes do the same to the same network, however often and in whatever order they have run."""
    for step, where, name in _runs(subject):
        texts = []
        for _ in range(3):
            sample = small_networks()[name]
            step.run(sample.module)
            texts.append(text(sample.module))
        require(len(set(texts)) == 1, f"{where}: run does something else to the same network when it has run before; it keeps state")


def _runs(subject: Subject) -> Iterator[tuple[Pass, str, str]]:
    for step in _passes(subject):
        for name in small_networks():
            yield step, f"pass {step.name} ({type(step).__module__}.{type(step).__qualname__}) on {name}", name


def _passes(subject: Subject) -> list[Pass]:
    """Every pass that it registers (with default options) or inserts into a pipeline."""
    registry: PassRegistry = builtin_registry()
    builtin = set(registry.passes())
    before = {name: registry.pipeline(name, PipelineOptions()) for name in registry.pipelines()}
    HookCaller(_alone(subject)).add_passes(registry)
    found = [step for name in registry.passes() if name not in builtin for step in _created(registry, name)]
    for name in registry.pipelines():
        known = {type(step) for step in before.get(name, ())}
        found += [step for step in registry.pipeline(name, PipelineOptions()) if type(step) not in known]
    return list({(type(step), step): step for step in found}.values())


def _created(registry: PassRegistry, name: str) -> list[Pass]:
    try:
        return [registry.create(name)]
    except TypeError:  # an option without a default: it runs where the plugin inserts it
        return []


def _alone(subject: Subject) -> PluginManager:
    """A manager that has this plugin only."""
    return PluginManager([subject.plugin])


def explains_itself(subject: Subject) -> None:
    """The command has a help of its own, and ``--help`` shows it."""
    from click.testing import CliRunner

    command: click.Command = subject.extension
    require(command.help and command.help.strip(), f"the command {subject.name} has no help: give its function a docstring")
    done = CliRunner().invoke(command, ["--help"], prog_name=f"tpumlir {subject.name}")
    require(done.exit_code == 0, f"tpumlir {subject.name} --help ends with {done.exit_code}: {done.output[-200:]}")


HOOK_CHECKS = (
    Check("hooks what exists", hooks_what_exists),
    Check("stands every stage", stands_every_stage),
    Check("passes keep the meaning", passes_keep_the_meaning),
    Check("passes are pure", passes_are_pure),
)
COMMAND_CHECKS = (Check("explains itself", explains_itself),)
