"""Errors that a user can act on: what, where, found against expected, and the fix, each with its exit code."""

from __future__ import annotations


class ClnetError(Exception):
    """Base of every foreseen failure; `exit_code` is what `run.py` returns for it."""

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, found: object = None, expected: object = None, fix: str | None = None):
        self.what, self.where, self.found, self.expected, self.fix = what, where, found, expected, fix
        lines = [what]
        lines += [f"  {name}: {value}" for name, value in
                  [("where", where), ("found", found), ("expected", expected), ("fix", fix)] if value is not None]
        super().__init__("\n".join(lines))


class UsageError(ClnetError):
    """Wrong command line or configuration."""

    exit_code = 2


class DataError(ClnetError):
    """A file whose content must not enter training or evaluation."""

    exit_code = 3


class HostError(ClnetError):
    """Disk, permission or memory of the machine."""

    exit_code = 4


class PreemptedError(ClnetError):
    """Stopped from outside; the same command continues."""

    exit_code = 75
