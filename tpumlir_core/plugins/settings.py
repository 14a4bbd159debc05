"""Which plugins the user wants: environment variables, ``[tool.tpumlir]`` of the project's pyproject.toml, the user's own file.

All of it is applied before any plugin is imported. Words are entry-point names, ``kind:name`` or distributions. What is
switched off anywhere is off; "only these" and "required" come from the first place that says so, in the order above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tpumlir_core.errors import InputError
from tpumlir_core.plugins.distributions import canonical
from tpumlir_core.plugins.finder import Candidate

ENABLE_VARIABLE = "TPUMLIR_PLUGINS"
DISABLE_VARIABLE = "TPUMLIR_DISABLE"
TABLE = "[tool.tpumlir]"
KEYS = ("plugins", "disable", "required")
"""What the table and the user's file may say, each a list of words."""


@dataclass(frozen=True)
class Words:
    """Words and the place that they are from, for messages."""

    source: str
    words: frozenset[str]

    def matches(self, candidate: Candidate) -> bool:
        """Whether a plugin is meant by any of the words."""
        return bool(self.words & {candidate.name, f"{candidate.kind}:{candidate.name}", canonical(candidate.distribution)})


@dataclass(frozen=True)
class Selection:
    """``only`` None = all, else no others; ``disabled`` never these; ``required`` must be healthy, as the user wrote them."""

    only: Words | None = None
    disabled: tuple[Words, ...] = ()
    required: tuple[str, ...] = ()
    required_by: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], folder: Path | None = None) -> Selection:
        """The settings that hold in ``folder`` (default: the working directory). Raises InputError for a damaged file."""
        places = list(_places(environment, folder))
        only = next((_words(source, table["plugins"]) for source, table in places if "plugins" in table), None)
        disabled = tuple(_words(source, table["disable"]) for source, table in places if table.get("disable"))
        required = next(((tuple(table["required"]), source) for source, table in places if "required" in table), ((), ""))
        return cls(only, disabled, *required)

    def excludes(self, candidate: Candidate) -> str:
        """Why the candidate is off, or ""."""
        for words in self.disabled:
            if words.matches(candidate):
                return f"switched off by {words.source}"
        if self.only is not None and not self.only.matches(candidate):
            return f"not named in {self.only.source}"
        return ""


def user_file(environment: Mapping[str, str]) -> Path | None:
    """The user's own settings: tpumlir/settings.toml in XDG_CONFIG_HOME, APPDATA or ~/.config; None without a home."""
    for variable, below in (("XDG_CONFIG_HOME", ""), ("APPDATA", ""), ("HOME", ".config")):
        if environment.get(variable):
            return Path(environment[variable], below, "tpumlir", "settings.toml")
    return None


def read_user_file(path: Path) -> dict[str, list[str]]:
    """What the user's file says, nothing when there is none. Raises InputError when it is damaged."""
    return _checked(str(path), _read(path)) if path.is_file() else {}


def write_user_file(path: Path, table: Mapping[str, list[str]]) -> None:
    """Replace the user's file, whole or not at all."""
    from tpumlir_core.files import write_bytes

    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = {key: ", ".join(f'"{word}"' for word in words) for key, words in table.items()}
    lines = ["# written by `tpumlir plugins enable` and `disable`", *(f"{key} = [{text}]" for key, text in quoted.items())]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _places(environment: Mapping[str, str], folder: Path | None) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Name and content of every place that says something, the one that wins first."""
    if ENABLE_VARIABLE in environment:
        yield ENABLE_VARIABLE, {"plugins": _split(environment[ENABLE_VARIABLE])}
    if environment.get(DISABLE_VARIABLE):
        yield DISABLE_VARIABLE, {"disable": _split(environment[DISABLE_VARIABLE])}
    folder = folder or Path.cwd()
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file() and "tpumlir" in _text(path) and (table := _read(path).get("tool", {}).get("tpumlir")) is not None:
            yield f"{TABLE} of {path}", _checked(str(path), table)
            break
    user = user_file(environment)
    if user is not None and user.is_file():
        yield str(user), read_user_file(user)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: it is no TOML: {error}") from error


def _checked(source: str, table: Any) -> dict[str, list[str]]:
    """A table with lists of words. Raises InputError for anything else."""
    if not isinstance(table, dict):
        raise InputError(f"{source}: {TABLE} must be a table")
    for key, words in table.items():
        if key not in KEYS:
            raise InputError(f"{source}: {key!r} is no setting of {TABLE}; there is {', '.join(KEYS)}")
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise InputError(f"{source}: {key!r} of {TABLE} must be a list of names, as in [\"acme\"]")
    return table


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _words(source: str, words: list[str]) -> Words:
    return Words(source, frozenset(words) | frozenset(canonical(word) for word in words))

