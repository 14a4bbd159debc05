"""What a check is, what it is run on, and how one is run: purity is watched around every one of them."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from tpumlir_core.errors import PluginError, TpumlirError
from tpumlir_core.plugins import Kind, Plugin, PluginManager, kind_named
from tpumlir_core.plugins.state import changes, global_state

FILE_MODULE = "tpumlir_file_"
"""What the modules of single plugin files are called."""


class CheckFailed(AssertionError):
    """The plugin breaks a promise; the message says which one and where."""


class CheckSkipped(Exception):
    """A check that cannot be made; the message says why and what would make it possible."""


class State(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Outcome:
    """How one check ended; ``message`` says what is wrong and where, or why the check was not made."""

    check: str
    state: State
    message: str = ""


class Subject:
    """The plugin that is checked: its kind and name, the installed plugins, and a folder for files. ``quick``: of the
    samples that there are for an operation one only, and of damaged files a tenth."""

    def __init__(self, kind: str, name: str, plugins: PluginManager | None = None, quick: bool = False) -> None:
        self.quick = quick
        self.kind: Kind[Any] = kind_named(kind)
        self.name = name
        self.plugins = plugins or PluginManager.discover(required=False)
        self.folder = Path(tempfile.mkdtemp(prefix="tpumlir-check-"))

    @property
    def plugin(self) -> Plugin:
        """The plugin as found, with its health now. Raises PluginError when there is none of that name."""
        return self.plugins.find(self.kind, self.name)

    def require_metadata(self) -> None:
        """Raises CheckSkipped for a plugin of a single file (``--plugin``), which has none."""
        if self.plugin.candidate.package.startswith(FILE_MODULE):
            raise CheckSkipped(f"{self.plugin.candidate.distribution} is a single file: it has no metadata")

    @cached_property
    def extension(self) -> Any:
        """The loaded extension. Raises CheckFailed with the reason why it cannot be loaded."""
        try:
            return self.plugins.get(self.kind, self.name)
        except PluginError as error:
            raise CheckFailed(str(error)) from error

    def fresh(self) -> Any:
        """Another instance of the extension, or itself where it is none of a class."""
        return type(self.extension)() if self.kind.contract and self.kind.contract.startswith("tpumlir_core.") else self.extension

    def file(self, name: str, data: bytes) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Check:
    """One promise: its name, and the function that raises CheckFailed where it is broken; its docstring is the promise."""

    name: str
    function: Callable[[Subject], None]
    loaded: bool = True
    """Whether it needs the plugin loaded in this process."""

    @property
    def promise(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    def run(self, subject: Subject) -> None:
        """Raises CheckFailed, also for what the plugin raises by mistake and for global state that it changed."""
        if self.loaded:
            try:
                assert subject.extension is not None
            except CheckFailed as failure:
                raise CheckSkipped("it does not load") from failure
        before = global_state()
        try:
            self.function(subject)
        except (CheckFailed, CheckSkipped):
            raise
        except (Exception, SystemExit) as error:
            raise CheckFailed(f"{describe(error)}{place(error, subject)}") from error
        finally:
            changed = changes(before, global_state())
        if changed:
            raise CheckFailed(f"{subject.plugin.candidate.value}: it changes global state: {'; '.join(changed)}")

    def outcome(self, subject: Subject) -> Outcome:
        """How it ends."""
        try:
            self.run(subject)
        except CheckFailed as failure:
            return Outcome(self.name, State.FAILED, " ".join(str(failure).split()))
        except CheckSkipped as reason:
            return Outcome(self.name, State.SKIPPED, str(reason))
        return Outcome(self.name, State.PASSED)


def require(holds: object, message: str) -> None:
    """Raises CheckFailed with the message unless it holds."""
    if not holds:
        raise CheckFailed(message)


@contextmanager
def only_errors(subject: Subject, call: str, *allowed: type[TpumlirError]) -> Iterator[None]:
    """The body may raise errors of these classes; anything else it raises breaks the promise."""
    try:
        yield
    except allowed:
        return
    except (CheckFailed, CheckSkipped):
        raise
    except (Exception, SystemExit) as error:
        names = " or ".join(cls.__name__ for cls in allowed)
        raise CheckFailed(f"{call} raises {describe(error)}{place(error, subject)}; bad input must raise {names}") from error


def describe(error: BaseException) -> str:
    """Class and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def place(error: BaseException, subject: Subject) -> str:
    """Where an error is from: the innermost frame in the plugin's own package, else the innermost one."""
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    frames = [frame for one in causes for frame in traceback.extract_tb(one.__traceback__)]
    if not frames:
        return ""
    package = subject.plugin.candidate.package
    own = [frame for frame in frames if package in (Path(frame.filename).stem, *Path(frame.filename).parts)]
    frame = (own or list(frames))[-1]
    return f" ({frame.filename}:{frame.lineno}, in {frame.name})"
