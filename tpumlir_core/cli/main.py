"""The umbrella command. Imports click and metadata only: a sub-command's module is imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from tpumlir_core import __version__
from tpumlir_core.errors import TpumlirError

COMMANDS = {
    "compile": "Compile a network for a chip, everything in one step.",
    "transform": "Import a network as MLIR text and weights.",
    "calibrate": "Ranges of a network's tensors on real samples, for INT8.",
    "qtable": "Which operations keep floats for INT8 to give what floats do.",
    "deploy": "Compile imported MLIR for a chip.",
    "run": "Run a network, MLIR or a compiled file on given inputs.",
    "eval": "Accuracy of a classifier at each stage on labelled images, and where it is lost.",
    "compare": "Compare the tensors of two .npz files.",
    "info": "What is in a compiled file.",
    "disasm": "The instructions of a compiled file.",
    "profile": "Estimated cycles of a compiled file.",
    "combine": "Several bmodels in one file.",
    "extract": "Every stage of a bmodel in a file of its own.",
    "ops": "Which operators are supported.",
    "plugins": "What is installed, and in what health.",
}
"""Sub-commands in the order of the help, with their one-line help; each is ``command`` in the module of its name."""

DEBUG_VARIABLE = "TPUMLIR_DEBUG"
USAGE_EXIT = 2
INTERNAL_EXIT = 3
INTERRUPTED_EXIT = 130
WIPE_LINE = "\r\x1b[K"


class ReaderGone(Exception):
    """Nobody reads stdout any more; click would end the process with 1, which here is a failed comparison."""


class LazyGroup(click.Group):
    """Knows the names of its commands without importing them: its own from COMMANDS, plugins' from entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names from metadata, unchecked: whether a plugin's command is healthy shows when it is called."""
        from tpumlir_core.plugins.finder import find
        from tpumlir_core.plugins.settings import Selection

        try:
            selection = Selection.from_environment(os.environ)
        except TpumlirError:
            selection = Selection()  # a damaged settings file is the other commands' error: the help always works
        added = {found.name for found in find() if found.kind == "command" and not selection.excludes(found)}
        return [*COMMANDS, *sorted(added - COMMANDS.keys())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command: click.Command = importlib.import_module(f"tpumlir_core.cli.{cmd_name}").command
            return command
        from tpumlir_core.plugins import COMMAND, PluginManager

        plugins = PluginManager.discover(required=False)
        if all(plugin.name != cmd_name for plugin in plugins.plugins(COMMAND)):
            return None
        return plugins.get(COMMAND, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; an unforeseen error in a plugin's command becomes that plugin's fault."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error
        except (TpumlirError, click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception:
            name = ctx.invoked_subcommand
            if name is None or name in COMMANDS:
                raise
            from tpumlir_core.plugins import COMMAND, PluginManager

            with PluginManager.discover(required=False).calling(COMMAND, name, "run"):
                raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does, but without importing every command for its help."""
        rows = [(name, COMMANDS.get(name, "(from a plugin)")) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", prog_name="tpumlir")
def group() -> None:
    """Compile trained networks to accelerator binaries.

    Frontends, chips and runners are plugins: `tpumlir plugins list` shows what is installed. Exit codes: 0 done, 1 a
    comparison failed, 2 bad input or usage, 3 an internal fault (set TPUMLIR_DEBUG=1 for its traceback).
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code; every error is one line on stderr."""
    try:
        sys.exit(_run(arguments))
    except (ReaderGone, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that flushing at exit cannot fail again
        sys.exit(0)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result: Any = group.main(arguments, prog_name="tpumlir", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE_EXIT
    except click.ClickException as error:
        return _fail(error.format_message(), USAGE_EXIT, error)
    except (click.Abort, KeyboardInterrupt) as error:
        return _fail("interrupted", INTERRUPTED_EXIT, error)
    except TpumlirError as error:
        return _fail(str(error), error.exit_code, error)
    except (ReaderGone, BrokenPipeError):
        raise
    except Exception as error:
        return _fail(f"internal fault: {type(error).__name__}: {error}", INTERNAL_EXIT, error)


def _fail(message: str, code: int, error: BaseException) -> int:
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        traceback.print_exception(error)
    wipe = WIPE_LINE if sys.stderr.isatty() else ""  # a progress line may stand there
    click.echo(f"{wipe}tpumlir: error: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
