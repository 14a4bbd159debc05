"""The error classes of the project; each message is one line that says where, what, and what to do."""


class TpumlirError(Exception):
    """Base of every error that the command line reports in one line; ``exit_code`` is the process status."""

    exit_code = 3


class InputError(TpumlirError):
    """The user's input (a file, a field, an option) is wrong; names it and says what to do."""

    exit_code = 2


class UnsupportedError(InputError):
    """Operators or modes that are not supported, all listed at once, each with its node name."""

    def __init__(self, message: str, items: tuple[str, ...] = ()) -> None:
        super().__init__(message if not items else f"{message}: {'; '.join(items)}")
        self.items = items


class AbsentFrameworkError(UnsupportedError):
    """A model takes a framework that is not installed, to be converted or run; says how to install it."""


class CompareError(TpumlirError):
    """A comparison found tensors that differ more than the tolerance."""

    exit_code = 1


class PluginError(TpumlirError):
    """A plugin is missing, unhealthy or failed at run time; names plugin, version and reason."""

    exit_code = 2


class PluginFault(PluginError):
    """A plugin's own code failed while it was called; names plugin, version and what it was doing."""

    exit_code = 3


class InternalError(TpumlirError):
    """A fault of this project's own code."""

    exit_code = 3
