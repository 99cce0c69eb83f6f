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
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

T = TypeVar("T")

UNIT = "etcd"
# Lines of the log that a message shows, and those that its cause is looked for in.
SHOWN, READ = 8, 4000
LEVELS = ("panic", "fatal", "error", "warn")
ENDS = LEVELS[:2]
# Seconds between two looks at a process that is waited for, and in which one that ends may still come up.
LOOK, PATIENCE = 1, 10
# Seconds for which every peer must have refused the certificates, or shown wrong ones, before a process is given up.
REFUSED = 3
DAMAGED = (
    "the data are damaged; move {data_directory}/member away, and run again: it joins the other members, and where "
    "there are none, restore a snapshot"
)
RENEW = "renew the certificates, or set the clocks of the hosts, and run again"
AUTHORITY = (
    "members trust only certificates that the cluster's own authority has signed; run with the "
    "cluster_certificates_directory that the other members' certificates are from"
)
# What the process says of certificates that are not to be made good by waiting, its own or its peers'. The last one is
# all that a peer says to a client whose certificate it has no better word for, and to a server.
REFUSALS = {
    "unknown authority": AUTHORITY,
    "unknown certificate authority": AUTHORITY,
    "certificate has expired": RENEW,
    "expired certificate": RENEW,
    "client certificate authentication failed": "the other member's certificate is not one for members; run again with "
    "all members, so that each gets its own",
    "bad certificate": "the other members do not take this one's certificate: it is not one for members, or not of "
    "their authority; run again with all members, so that each gets its own",
}
VAGUE = "bad certificate"
# What a new member says last that got no answer from the others, whatever the reason.
UNANSWERED = "cannot fetch cluster info"
# What etcd logs, and what to do then.
REMEDIES = {
    "no space left on device": "make room on the file system of {data_directory}, and run again",
    "read-only file system": "mount the file system of {data_directory} for writing, and run again",
    "permission denied": "give {data_directory} and all in it to the account etcd, and run again",
    "permanently removed": "the cluster has removed this member; move the directory member in {data_directory} away, "
    "and run again to let it join as a new one",
    "cannot assign requested address": "the address is on none of the host's interfaces",
    "address already in use": "stop the process that has the port, or choose another one",
    "member ID is already registered": "another member has its peer URL",
    "cluster ID mismatch": "this member or the other one has data of another cluster in its data directory, such as "
    "{data_directory}/member; move those away, and run again to let that member join",
    "crc mismatch": DAMAGED,
    "invalid database": DAMAGED,
    "proto: ": DAMAGED,
    "private key does not match public key": "give the host the certificate and the key that "
    "cluster_certificates_directory has for it, and run again",
    **REFUSALS,
}
# A line of the stack traces that follow a panic.
TRACE = re.compile(r"\s|$|goroutine |created by |panic: |[\w./%*()-]+\(.*\)$")


class ProcessError(TaskError):
    """The member does not serve; the message begins with the cause and ends with what etcd logged last."""


class Process:
    """The unit, and how to wait for it. ``timeout`` is in seconds."""

    def __init__(self, run: systemd.Run, timeout: float, data_directory: str) -> None:
        self.run = run
        self.timeout = timeout
        self.data_directory = data_directory
        self.unit = systemd.show(run, UNIT)
        # Invocation ID of the process that had exited before this start; empty where there was none.
        self.former = ""

    def refresh(self) -> None:
        """Look at the unit again."""
        self.unit = systemd.show(self.run, UNIT)

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
        self.refresh()
        self.former = "" if self.running else self.unit.invocation
        systemd.command(self.run, "start", "--no-block", UNIT)

    def restart(self) -> None:
        """Restart the unit, and wait until the process is another one."""
        before = self.unit.invocation
        self.former = ""
        self.run(["systemctl", "reset-failed", UNIT])
        systemd.command(self.run, "restart", "--no-block", UNIT)
        self._until(lambda unit: unit.invocation not in ("", before), "the old process has not ended")

    def stop(self) -> None:
        """Stop the unit, and wait until the process is gone."""
        systemd.command(self.run, "stop", "--no-block", UNIT)
        self._until(lambda unit: unit.main_pid == 0, "the process has not ended")

    def has_led(self) -> bool:
        """Whether systemd was told that the unit is up: the member has, or had, a leader."""
        return self.run(["systemctl", "is-active", UNIT])[1].strip() == "active"

    def _until(self, reached: Callable[[systemd.Unit], bool], what: str) -> None:
        for _look in Waiter(self.timeout):
            self.unit = systemd.show(self.run, UNIT)
            if reached(self.unit):
                return
        raise self.error(f"{what} after {self.timeout:g} s", "")

    def wait(self, what: str, ask: Callable[[], object]) -> None:
        """Wait until ``ask`` raises no EtcdError.

        Raises ProcessError where it does not, at the deadline or once the process ends: ``what`` was waited for.
        """
        waiter, watch = Waiter(self.timeout), Watch(self)
        try:
            waiter.retry(ask, etcd.EtcdError, watch.given_up)
        except etcd.EtcdError as error:
            self.refresh()
            raise self.error(f"{what} after {waiter.elapsed:.0f} s", str(error), watch.last) from error

    def log(self) -> list[str]:
        """The last lines of this process; where it has logged none, of the unit."""
        chosen = [["--unit", UNIT]]
        if self.unit.invocation:
            chosen.insert(0, [f"_SYSTEMD_INVOCATION_ID={self.unit.invocation}"])
        lines: list[str] = []
        for words in chosen:
            told = self.run(["journalctl", *words, "--lines", str(READ), "--no-pager", "--output", "cat"])[1]
            lines = told.strip().splitlines()
            if lines and not lines[0].startswith("-- No entries"):
                break
        return lines

    def error(self, what: str, answer: str, ended: str = "") -> ProcessError:
        """What was waited for, with the cause first; ``ended`` is that of a process which ended meanwhile."""
        lines = self.log()
        found = ended or cause(lines)
        told = remedy(found)
        parts = [found or answer or "etcd logs nothing"]
        if told:
            parts.append(told.format(data_directory=self.data_directory))
        parts.append(what)
        if found and answer:
            parts.append(answer)
        parts.append("etcd runs" if self.running else "etcd does not run")
        # The same refusal may come many times a second.
        last = list(dict.fromkeys(words for words in map(readable, reversed(lines)) if words))[:SHOWN]
        return ProcessError("; ".join(parts) + "; its last log lines:\n" + "\n".join(reversed(last)))


class Watch:
    """A process that is waited for: whether there is still something to wait for.

    systemd starts one that ended again and again. It is given up at once where its log names a cause that no further
    start removes, and otherwise where it ended a while ago and does not run. One that runs is given up where it and
    each of its peers do not take one another's certificates.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.looked = time.monotonic()
        self.ended: float | None = None
        self.refused: float | None = None
        # Why the process ended last.
        self.last = ""

    def given_up(self) -> bool:
        """Whether to wait no longer; it looks once a second, however often it is asked."""
        now = time.monotonic()
        if now - self.looked < LOOK:
            return False
        self.looked = now
        self.process.refresh()
        if self.process.running:
            self.refused = (self.refused or now) if refused_by_all(self.process.log()) else None
            return self.refused is not None and now - self.refused >= REFUSED
        # One that has not begun has not ended: the start waits for other units, or for the time between two starts.
        if self.process.unit.invocation in ("", self.process.former):
            return False
        self.ended = self.ended or now
        found = cause(self.process.log(), ENDS)
        self.last = found or self.last
        return bool(remedy(found)) or now - self.ended >= PATIENCE


def remedy(found: str) -> str:
    """What to do about a cause, with a place for the data directory; empty where nothing is known."""
    return next((told for sign, told in REMEDIES.items() if sign in found), "")


def _entry(line: str) -> dict[str, Any] | None:
    """A line of etcd's log, which is a JSON object; None for any other, such as one of a stack trace."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _words(entry: Mapping[str, Any]) -> str:
    # etcd says "discovery failed" of whatever kept it from starting.
    keys = ("error",) if entry.get("msg") == "discovery failed" and entry.get("error") else ("msg", "error")
    return ": ".join(dict.fromkeys(str(entry[key]) for key in keys if entry.get(key)))


def readable(line: str) -> str:
    """A line of etcd's log without the form of JSON; one of a stack trace is empty."""
    entry = _entry(line)
    if entry is not None:
        return f"{entry.get('level', '')}: {_words(entry)}"
    return "" if TRACE.match(line) else line


def cause(lines: Sequence[str], levels: Sequence[str] = LEVELS) -> str:
    """The gravest of the last messages in a log of etcd; empty where none is grave.

    Among those of one gravity, one that a remedy is known for comes first. Certificates are the cause of a new member's
    end where they kept it from asking the others.
    """
    found: dict[str, list[str]] = {}
    for entry in filter(None, map(_entry, lines)):
        if entry.get("level") in LEVELS:
            found.setdefault(entry["level"], []).append(_words(entry))
    gravest = next((found[level] for level in levels if level in found), [])
    if gravest and UNANSWERED in gravest[-1]:
        gravest = [words for words in found.get("warn", ()) if refusal(words)] or gravest
    known = [words for words in reversed(gravest) if remedy(words)]
    return next(iter(sorted(known, key=lambda words: VAGUE in words)), gravest[-1] if gravest else "")


def refusal(words: str) -> bool:
    """Whether a message is about certificates that are not taken."""
    return any(sign in words for sign in REFUSALS)


def refused_by_all(lines: Sequence[str]) -> bool:
    """Whether a process has peers, and the last word on each of them is that certificates are not taken.

    False too of a log that may not reach back to the start of the process, where it names its peers. A peer that does
    not run, such as one that is restarted now, refuses no certificate.
    """
    refused: dict[str, bool] = {}
    for entry in filter(None, map(_entry, lines)):
        message = entry.get("msg")
        if message == "added remote peer":
            refused[entry.get("remote-peer-id", "")] = False
        elif message == "removed remote peer":
            refused.pop(entry.get("removed-remote-peer-id", ""), None)
        elif message == "peer became active":
            refused[entry.get("peer-id", "")] = False
        elif message == "prober detected unhealthy status":
            refused[entry.get("remote-peer-id", "")] = refusal(str(entry.get("error", "")))
    return len(lines) < READ and bool(refused) and all(refused.values())


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
