"""How commands end: results with 0, errors in one line on stderr with the exit code of their class."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NoReturn

from tpumlir_compat.flags import Command
from tpumlir_core.errors import TpumlirError

DEBUG_VARIABLE = "TPUMLIR_DEBUG"
INTERNAL_EXIT = 3
INTERRUPTED_EXIT = 130


def run(command: Command, act: Callable[[Namespace], int], words: Sequence[str] | None = None) -> NoReturn:
    """Parse, act, and end the process."""
    given = sys.argv[1:] if words is None else words
    sys.exit(guarded(command.name, lambda: act(command.parse(given))))


def guarded(name: str, act: Callable[[], int]) -> int:
    """The exit code of ``act``; its error, if any, is told in one line that begins with the command's name."""
    try:
        code = act()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that flushing at exit cannot fail again
        return 0
    except TpumlirError as error:
        return _fail(name, str(error), error.exit_code, error)
    except KeyboardInterrupt as error:
        return _fail(name, "interrupted", INTERRUPTED_EXIT, error)
    except Exception as error:
        return _fail(name, f"internal fault: {type(error).__name__}: {error}", INTERNAL_EXIT, error)


def _fail(name: str, message: str, code: int, error: BaseException) -> int:
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        traceback.print_exception(error)
    print(f"{name}: error: {' '.join(message.split())}", file=sys.stderr)
    return code
