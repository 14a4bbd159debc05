"""Running pip, of this environment or of another."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tpumlir_core.errors import PluginError


def run_pip(python: Path, *arguments: str) -> None:
    """Run the pip of a Python. Raises PluginError with the reason in one line."""
    command = [str(python), "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR:").strip() for line in lines if "error" in line.lower() or "No module named" in line]
        reason = (errors or lines or ["pip gives no reason"])[-1 if not errors else 0]
        raise PluginError(f"pip {arguments[0]} {' '.join(a for a in arguments[1:] if not a.startswith('-'))} failed: {reason}")
