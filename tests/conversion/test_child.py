"""What a framework does to its process reaches the user as a value or as one line."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tpumlir_core.conversion.child import SECONDS_VARIABLE, Framework, call
from tpumlir_core.errors import InputError, UnsupportedError

FRAME = Framework("Frame", "acme-frame", (), {"ACME_MODE": "quiet"})
SOURCE = '''
"""A converter."""

import json
import os
import signal
import subprocess
import sys
import time


class Refused(Exception):
    def __init__(self, text, items=()):
        super().__init__(text)
        self.items = tuple(items)


def answer(value):
    print("noise on stdout")
    print("noise on stderr", file=sys.stderr)
    modules = sorted(name for name in sys.modules if name.startswith("tpumlir_core"))
    return {"value": value, "mode": os.environ["ACME_MODE"], "cwd": os.getcwd(), "modules": modules}


def refuse(items=()):
    raise Refused("two\\nlines", items)


def fail():
    raise KeyError("node net/conv has no input")


def crash():
    print("node net/conv: check failed\\nmuch else", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leave():
    print("giving up", file=sys.stderr, flush=True)
    os._exit(7)


def hang(file):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(file, "w") as out:
        out.write(str(child.pid))
    time.sleep(600)


def eat():
    raise MemoryError


def lack():
    import acme_absent
'''
FAILING_LINE = 1 + SOURCE.splitlines().index('    raise KeyError("node net/conv has no input")')


@pytest.fixture
def converter(site: Any, tmp_path: Path) -> str:
    """A package with a converter, installed."""
    package = site.folder / "acme_convert"
    package.mkdir()
    (package / "__init__.py").write_text('"""A plugin."""\n')
    (package / "child.py").write_text(SOURCE)
    return "acme_convert.child"


def test_values_go_both_ways_and_words_go_nowhere(converter: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answer = call(FRAME, f"{converter}:answer", {"value": [1, "zwei", None]}, tmp_path)
    assert answer == {"value": [1, "zwei", None], "mode": "quiet", "cwd": str(tmp_path), "modules": []}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("refuse", {}, "two lines"),
        ("fail", {}, f"Frame refuses this model: KeyError: 'node net/conv has no input' (child.py:{FAILING_LINE})"),
        ("crash", {}, "Frame crashed on this model (signal 11, Segmentation fault): node net/conv: check failed"),
        ("leave", {}, "Frame crashed on this model (exit code 7): giving up"),
        ("eat", {}, "Frame needs more memory for this model than this machine has"),
    ],
)
def test_whatever_happens_is_one_line(converter: str, function: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        call(FRAME, f"{converter}:{function}", arguments)
    assert type(caught.value) is InputError
    assert str(caught.value) == message


def test_operations_that_are_not_supported_are_listed(converter: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        call(FRAME, f"{converter}:refuse", {"items": ["A (node a)", "B (node b)"]})
    assert caught.value.items == ("A (node a)", "B (node b)")
    assert str(caught.value) == "two lines: A (node a); B (node b)"


def test_a_module_that_is_missing_is_no_fault_of_the_model(converter: str) -> None:
    with pytest.raises(UnsupportedError, match="Frame cannot be imported: No module named 'acme_absent'"):
        call(FRAME, f"{converter}:lack", {})


@pytest.mark.skipif(sys.platform == "win32", reason="processes are looked up by signal 0")
def test_what_takes_too_long_is_ended_with_all_that_it_started(
    converter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, "3")
    with pytest.raises(InputError, match=f"Frame is not done after 3 seconds .{SECONDS_VARIABLE} allows for more"):
        call(FRAME, f"{converter}:hang", {"file": str(tmp_path / "pid")})
    assert_gone(int((tmp_path / "pid").read_text()))


def assert_gone(pid: int) -> None:
    """A killed process that nobody has waited for is a zombie: gone enough."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        status = Path(f"/proc/{pid}/status")
        if status.exists() and "State:\tZ" in status.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan"])
def test_the_time_allowed_must_be_a_number(converter: str, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(SECONDS_VARIABLE, text)
    with pytest.raises(InputError, match="not a number of seconds"):
        call(FRAME, f"{converter}:answer", {"value": 0})


def test_without_the_framework_both_ways_to_get_it_are_told(converter: str) -> None:
    absent = Framework("Frame", "acme-frame", ("os", "acme_absent_frame"))
    with pytest.raises(UnsupportedError) as caught:
        call(absent, f"{converter}:answer", {"value": 0})
    here, apart = "pip install 'acme-frame[framework]'", "tpumlir plugins install acme-frame --isolated"
    assert str(caught.value) == f"it takes Frame, and there is no module acme_absent_frame: {here}, or apart from here: {apart}"
