"""Plugins as users install them: wheels, a new environment, pip; nothing editable. ``python -m sweeps.packages``.

A package of every kind is written, installed, checked and uninstalled, without editing a line; first beside the core alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path

from tpumlir_core.container import Container, write_container
from tpumlir_core.plugins.scaffold import BLUEPRINTS

ROOT = Path(__file__).parent.parent
KEPT = ("PIP_", "HOME", "XDG_", "SSL_", "HTTP", "NO_PROXY")
"""Starts of the environment variables that pip may need."""


class Home:
    """A new virtual environment with the core's wheel in it, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / "bin"
        self.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", str(ROOT))
        (wheel,) = (self.work / "wheels").glob("tpumlir_core-*.whl")
        self.run("python", "-m", "pip", "install", "--quiet", str(wheel))

    def run(self, program: str, *arguments: str, expect: int = 0) -> str:
        """What a program of the environment prints. Raises RuntimeError where it ends with another code than expected."""
        command = [str(self.bin / program), *arguments]
        environment = {"PATH": str(self.bin), **_settings()}
        done = subprocess.run(command, cwd=self.work, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != expect:
            raise RuntimeError(f"{program} {' '.join(arguments)} ends with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout + done.stderr


def _settings() -> dict[str, str]:
    """What tells pip where it finds packages; nothing else of the caller's environment."""
    return {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}


def core_alone(home: Home) -> Sequence[str]:
    """What is wrong with the core where no plugin is installed."""
    (home.work / "net.bin").write_bytes(write_container(Container("nochip", "net", (), (), {})))
    answers = {
        ("--help",): (0, "compile"),
        ("plugins", "list"): (0, "interpreter"),
        ("plugins", "doctor"): (0, "0 with a fault"),
        ("info", "net.bin"): (0, "nochip"),
        ("disasm", "net.bin"): (2, "no target is called 'nochip'"),
    }
    faults = []
    for arguments, (code, words) in answers.items():
        said = home.run("tpumlir", *arguments, expect=code)
        if words not in said:
            faults.append(f"tpumlir {' '.join(arguments)} says {said!r}")
    return faults


def new_packages(home: Home) -> Sequence[str]:
    """What is wrong with newly written packages, one of every kind."""
    faults: list[str] = []
    folders = [f"tpumlir-acme-{kind}" for kind in BLUEPRINTS]
    for kind in BLUEPRINTS:
        home.run("tpumlir", "plugins", "new", kind, f"acme-{kind}")
    home.run("tpumlir", "plugins", "install", *folders)
    for kind in BLUEPRINTS:
        report = json.loads(home.run("tpumlir", "plugins", "check", f"acme-{kind}", "--json"))
        checks = [check for plugin in report["plugins"] for check in plugin["checks"]]
        faults += [f"{kind}: {check['check']}: {check['message']}" for check in checks if check["state"] != "passed"]
        print(f"{kind}: {len(checks)} checks passed", file=sys.stderr)
    for kind in BLUEPRINTS:
        home.run("tpumlir", "plugins", "uninstall", f"acme-{kind}" if kind != "target" else "tpumlir-acme-target")
    left = json.loads(home.run("tpumlir", "plugins", "list", "--json"))
    faults += [f"{plugin['kind']} {plugin['name']} is left after uninstall" for plugin in left if plugin["name"] != "numpy"]
    return faults


def main() -> None:
    """Run all of it; exit code 1 where something is wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tpumlir-packages-") as name:
        home = Home(Path(name))
        faults = [*core_alone(home), *new_packages(home)]
    for fault in faults:
        print(fault)
    print(f"packages of {len(BLUEPRINTS)} kinds: {len(faults)} faults; {time.monotonic() - started:.0f} s")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
