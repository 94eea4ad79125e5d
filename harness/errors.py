"""The errors that a person can mend, and the exit codes of the command.

Each error says what, where and how to mend it. Categories also inherit the standard library's class, so that a caller
who knows only Python catches them too. Nothing here is ever raised because of what a model wrote.
"""

from __future__ import annotations

from enum import IntEnum

_LEAST_BEGINNING = 3
"""Letters from which on the beginning of a word is taken for a hint at the whole."""


_LONGEST_WORD = 100
"""A longer text is no misspelt name, and would take long to compare."""


class ExitCode(IntEnum):
    """What the command's exit code says; stored nowhere, but scripts rely on it."""

    OK = 0
    """Done, and every number is what it says."""
    CRASH = 1
    """An unexpected error of ours."""
    USAGE = 2
    """Usage or configuration: nothing was scored."""
    REGRESSION = 3
    """A gate found a regression."""
    INCONCLUSIVE = 4
    """A gate could not tell, and was asked to fail then."""
    INCOMPLETE = 5
    """Runs are incomplete or cannot be compared."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; the journal is intact."""


class UserError(Exception):
    """A fault in usage, configuration, data or environment, with the mend in its message."""

    exit_code: ExitCode = ExitCode.USAGE
    """The command ends with this code."""


class ConfigError(UserError, ValueError):
    """An option or a configuration value is wrong."""


class IncompleteError(UserError, RuntimeError):
    """Something is missing that the answer needs."""

    exit_code = ExitCode.INCOMPLETE


def did_you_mean(word: str, known: list[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known word, or the empty text when none is near."""
    import difflib  # noqa: PLC0415 - only a typo needs it

    if len(word) > _LONGEST_WORD:
        return ""
    lowered = {name.lower(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    if not near and len(word) >= _LEAST_BEGINNING:  # `temp` is far from `temperature` by letters alone
        near = [name for name in lowered if name.startswith(word.lower()) or word.lower().startswith(f"{name}_")]
    return f" Did you mean {lowered[near[0]]!r}?" if len(near) == 1 else ""
