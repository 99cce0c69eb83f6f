"""What tests of files and of the install record share: a record of its own, a view of a tree, a disk that fails."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import file_plan, files
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Change, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger

# Steps at which a disk may be full or a process killed.
STEPS = ("open", "mkdir", "chown", "chmod", "symlink", "replace", "unlink", "rmdir", "fsync", "fchmod")


class Killed(BaseException):
    """The process ended here; nothing after this ran."""


def accept(_words: Sequence[str]) -> tuple[int, str, str]:
    """A checker that is content with all; the edge of these tests."""
    return 0, "", ""


class Host:
    """A directory that stands for a host, with an owner's record in it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "host"
        self.root.mkdir()
        self.records = root / "records"

    @property
    def ledger(self) -> Ledger:
        """The record as a new process finds it."""
        return Ledger("daemon", str(self.records))

    def path(self, name: str) -> str:
        return str(self.root / name)

    def file(self, name: str, data: bytes = b"ours\n", **settings: Any) -> Entry:
        return Entry(self.path(name), data=data, **settings)

    def directory(self, name: str, mode: int = 0o755, **settings: Any) -> Entry:
        return Entry(self.path(name), "directory", mode=mode, **settings)

    def converge(self, *wanted: Entry) -> list[Change]:
        """What the module does in a run."""
        return files.reach(list(wanted), self.ledger, accept, check_mode=False)

    def left(self, *wanted: Entry, uninstall: bool = False) -> list[str]:
        ledger = self.ledger
        return file_plan.left(list(wanted), file_plan.observe(wanted, ledger), ledger, uninstall)

    def uninstall(self) -> list[str]:
        """What the module does on uninstall; returns what could not be done."""
        ledger = self.ledger
        return files.withdraw(files.release(ledger), ledger)

    def tree(self) -> dict[str, str]:
        """Everything on the host, with kind, mode, owner and content."""
        return {str(path.relative_to(self.root)): _told(path) for path in sorted(self.root.rglob("*"))}

    def owners(self) -> list[str]:
        """Files of the record that are left."""
        return sorted(path.name for path in self.records.iterdir()) if self.records.exists() else []


def _told(path: Path) -> str:
    status = path.lstat()
    told = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
    if path.is_symlink():
        return f"{told} -> {path.readlink()}"
    return f"{told} {path.read_bytes()!r}" if path.is_file() else told


def _is_under(root: Path, argument: Any) -> bool:
    return isinstance(argument, (str, os.PathLike)) and str(argument).startswith(str(root))


def _break(monkeypatch: pytest.MonkeyPatch, root: Path, stop: Callable[[str, int], None]) -> None:
    """Have ``stop`` called with the name and number of every step that changes something under a directory."""
    count = 0

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            changes = name != "open" or (len(arguments) > 1 and arguments[1] & (os.O_WRONLY | os.O_RDWR))
            here = any(_is_under(root, one) for one in arguments) or name in ("fsync", "fchmod")
            if changes and here:
                count += 1
                stop(name, count)
            return real(*arguments, **named)

        monkeypatch.setattr(os, name, step)

    for name in STEPS:
        wrap(name)


def kill_at(monkeypatch: pytest.MonkeyPatch, root: Path, number: int) -> list[str]:
    """End the process before a step, by its number; the list gets the step's name when it comes to it."""
    hit: list[str] = []

    def stop(name: str, count: int) -> None:
        if count >= number:  # and nothing that would clean up runs either
            hit.append(name)
            raise Killed

    _break(monkeypatch, root, stop)
    return hit


def fail_at(monkeypatch: pytest.MonkeyPatch, root: Path, number: int, code: int) -> list[str]:
    """Have one step fail with an error number, the others go well; the list gets its name when it comes to it."""
    hit: list[str] = []

    def stop(name: str, count: int) -> None:
        if count == number:
            hit.append(name)
            raise OSError(code, os.strerror(code))

    _break(monkeypatch, root, stop)
    return hit


def until_it_passes(attempt: Callable[[int], bool], most: int = 200) -> Iterator[int]:
    """Numbers of steps, until the attempt with one passes without coming to it."""
    for number in range(1, most):
        yield number
        if attempt(number):
            return
    raise AssertionError(f"still not through after {most} steps")


ERRORS = (errno.ENOSPC, errno.EROFS, errno.EACCES)
