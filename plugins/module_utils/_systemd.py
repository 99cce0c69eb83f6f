# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""State of systemd units, and whether a running daemon still has its current configuration.

A unit carries the digest of all it was configured with in its environment. The running
process has the digest it was started with, so comparing the two tells whether a restart is
due: also after a run that was interrupted between writing a file and restarting, which a
handler would have forgotten.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
DIGEST = "BINARY_CLUSTER_DIGEST"
PROPERTIES = ("ActiveState", "SubState", "MainPID", "UnitFileState", "LoadState", "NeedDaemonReload")


class ServiceError(Exception):
    """A unit did not do as told; the message holds its last log lines."""


@dataclass(frozen=True)
class Unit:
    """A unit as systemd sees it."""

    name: str
    loaded: bool
    active: bool
    enabled: bool
    main_pid: int
    needs_reload: bool


def show(run: Run, name: str) -> Unit:
    """Ask systemd for the state of a unit; one that does not exist is simply not loaded."""
    _code, out, _err = run(["systemctl", "show", name, f"--property={','.join(PROPERTIES)}"])
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return Unit(
        name=name,
        loaded=found.get("LoadState") == "loaded",
        active=found.get("ActiveState") in ("active", "reloading"),
        enabled=found.get("UnitFileState") == "enabled",
        main_pid=int(found.get("MainPID") or 0),
        needs_reload=found.get("NeedDaemonReload") == "yes",
    )


def digest(parts: Iterable[bytes]) -> str:
    """Digest over the parts of a configuration, as 16 hexadecimal digits."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def with_digest(unit: str, value: str) -> str:
    """The text of a unit, or of a drop-in, that hands the digest to its process."""
    head, mark, rest = unit.partition("[Service]\n")
    if not mark:
        raise ServiceError("the unit has no [Service] section")
    return f"{head}{mark}Environment={DIGEST}={value}\n{rest}"


def running_digest(pid: int) -> str | None:
    """The digest a process was started with; None for a process without one."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as stream:
            variables = stream.read().split(b"\0")
    except OSError:
        return None
    for variable in variables:
        key, _equals, value = variable.partition(b"=")
        if key == DIGEST.encode():
            return value.decode()
    return None


def command(run: Run, *words: str) -> None:
    """Run systemctl; on a failure raise with the unit's own last words."""
    code, out, err = run(["systemctl", *words])
    if code == 0:
        return
    unit = words[-1]
    said = (err or out).strip()
    _code, lines, _err = run(["journalctl", "--unit", unit, "--lines", "8", "--no-pager", "--output", "cat"])
    raise ServiceError(f"systemctl {' '.join(words)}: {said}\n{lines.strip()}")


def resolved(path: str) -> bytes:
    """What a path stands for in a digest: a link's target, else the content, else nothing."""
    if os.path.islink(path):
        return os.readlink(path).encode()
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError:
        return b""
