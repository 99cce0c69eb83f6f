# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""etcd's unit on this host: started and restarted with a deadline, and what its log says where that fails.

The unit is of type notify, and up once the member has a leader, however long that takes the others. So nothing here
waits for systemd: it is told what to do, and the member is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from ansible_collections.binary_cluster.networking.plugins.module_utils import _etcd, _systemd

T = TypeVar("T")

UNIT = "etcd"
POLL = 0.1
# Lines of the log that a message shows, and those that its cause is looked for in.
SHOWN, READ = 8, 60
LEVELS = ("fatal", "panic", "error", "warn")
# What etcd logs, and what to do then.
REMEDIES = {
    "permanently removed": "the cluster has removed this member; move the directory member in {data_directory} away, "
    "and run again to let it join as a new one",
    "cannot assign requested address": "the address is on none of the host's interfaces",
    "address already in use": "stop the process that has the port, or choose another one",
    "member ID is already registered": "another member has its peer URL",
}


class ProcessError(Exception):
    """The member does not serve; the message begins with the cause and ends with etcd's last log lines."""


class Process:
    """The unit, and how to wait for it. ``timeout`` is in seconds."""

    def __init__(self, run: _systemd.Run, timeout: float, data_directory: str) -> None:
        self.run = run
        self.timeout = timeout
        self.data_directory = data_directory
        self.unit = _systemd.show(run, UNIT)

    def refresh(self) -> None:
        """Look at the unit again."""
        self.unit = _systemd.show(self.run, UNIT)

    @property
    def running(self) -> bool:
        """Whether there is a process, be it that it waits for its leader."""
        return self.unit.main_pid > 0

    def environment(self) -> dict[str, str]:
        """Settings that the running process was started with, which may be others than those on the disk."""
        try:
            with open(f"/proc/{self.unit.main_pid}/environ", "rb") as stream:
                pairs = [entry.decode(errors="replace").partition("=") for entry in stream.read().split(b"\0")]
        except OSError:
            return {}
        return {name: value for name, _equals, value in pairs if name.startswith("ETCD_")}

    def urls(self, setting: str) -> list[str]:
        """URLs of a setting of the running process, such as ETCD_LISTEN_CLIENT_URLS."""
        return [url for url in self.environment().get(setting, "").split(",") if url]

    def start(self) -> None:
        """Tell systemd to start the unit; one that failed too often before may start again."""
        self.run(["systemctl", "reset-failed", UNIT])
        _systemd.command(self.run, "start", "--no-block", UNIT)

    def restart(self) -> None:
        """Restart the unit, and wait until the process is another one."""
        before = self.unit.invocation
        self.run(["systemctl", "reset-failed", UNIT])
        _systemd.command(self.run, "restart", "--no-block", UNIT)
        self._until(lambda unit: unit.invocation not in ("", before), "the old process has not ended")

    def stop(self) -> None:
        """Stop the unit, and wait until the process is gone."""
        _systemd.command(self.run, "stop", "--no-block", UNIT)
        self._until(lambda unit: unit.main_pid == 0, "the process has not ended")

    def has_led(self) -> bool:
        """Whether systemd was told that the unit is up: the member has, or had, a leader."""
        return self.run(["systemctl", "is-active", UNIT])[1].strip() == "active"

    def _until(self, reached: Callable[[_systemd.Unit], bool], what: str) -> None:
        until = time.monotonic() + self.timeout
        while True:
            self.unit = _systemd.show(self.run, UNIT)
            if reached(self.unit):
                return
            if time.monotonic() > until:
                raise self.error(f"{what} after {self.timeout:g} s", "")
            time.sleep(POLL)

    def wait(self, what: str, ask: Callable[[], object]) -> None:
        """Wait until ``ask`` raises no EtcdError. Raises ProcessError at the deadline: ``what`` was waited for."""
        try:
            retry(self.timeout, ask)
        except _etcd.EtcdError as error:
            self.refresh()
            raise self.error(f"{what} after {self.timeout:g} s", str(error)) from error

    def error(self, what: str, answer: str) -> ProcessError:
        """What was waited for, with the cause first that etcd's log gives."""
        _code, log, _err = self.run(
            ["journalctl", "--unit", UNIT, "--lines", str(READ), "--no-pager", "--output", "cat"]
        )
        lines = log.strip().splitlines()
        found = cause(lines)
        remedy = next((told for sign, told in REMEDIES.items() if sign in found), "")
        parts = [f"{what}: {found or answer or 'etcd logs nothing'}"]
        if remedy:
            parts.append(remedy.format(data_directory=self.data_directory))
        if found and answer:
            parts.append(answer)
        parts.append("etcd runs" if self.running else "etcd does not run")
        return ProcessError("; ".join(parts) + "; its last log lines:\n" + "\n".join(lines[-SHOWN:]))


def retry(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns once it raises no EtcdError; the last one is raised at the deadline."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except _etcd.EtcdError:
            if time.monotonic() > until:
                raise
        time.sleep(POLL)


def cause(lines: Sequence[str]) -> str:
    """The gravest of the last messages in a log of etcd, which is a JSON object a line; empty where none is grave."""
    found: dict[str, str] = {}
    for line in lines:
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("level") in LEVELS:
                found[entry["level"]] = ": ".join(
                    dict.fromkeys(str(entry[key]) for key in ("msg", "error") if entry.get(key))
                )
    return next((found[level] for level in LEVELS if level in found), "")


@contextlib.contextmanager
def bootstrap(path: str, cluster: Mapping[str, Sequence[str]] | None, state: str, token: str) -> Iterator[None]:
    """An environment file for a member's first start, with peer URLs by name; gone afterwards. None writes none."""
    if cluster is not None:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(
                f"ETCD_INITIAL_CLUSTER={','.join(f'{name}={url}' for name, urls in cluster.items() for url in urls)}\n"
                f"ETCD_INITIAL_CLUSTER_STATE={state}\n"
                f"ETCD_INITIAL_CLUSTER_TOKEN={token}\n"
            )
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
