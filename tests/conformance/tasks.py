"""What the workers of the pool's tests do; functions of a module, as workers are processes of their own."""

from __future__ import annotations

import os
import signal
import time


def task(what: str) -> str:
    """Behave as told."""
    if what == "crash":
        os.kill(os.getpid(), signal.SIGFPE)
    if what == "exit":
        os._exit(7)
    if what == "spin":
        while True:
            pass
    if what == "sleep":
        time.sleep(60)
    if what == "fail":
        raise ValueError("as told")
    print("thrown away")
    return what.upper()
