# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""State of systemd units, and whether a running daemon still has its current configuration.

A unit carries the digest of all it was configured with in its environment. The running
process has the digest it was started with, so comparing the two tells whether a restart is
due: also after a run that was interrupted between writing a file and restarting, which a
handler would have forgotten.

What changes under a process without changing the digest (a file somebody edited, and that is put
right; a file the daemon only reloads) is noted in the ledger before it is written, with the
invocation that does not have it yet: a process started later has it anyway.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
DIGEST = "BINARY_CLUSTER_DIGEST"
PROPERTIES = (
    "ActiveState", "SubState", "MainPID", "UnitFileState", "LoadState", "NeedDaemonReload", "InvocationID", "Id",
    "FragmentPath",
)  # fmt: skip
# Options of section [Install] that systemctl enable does something for, and one for other units (systemd.unit(5)).
INSTALLS = ("WantedBy", "RequiredBy", "UpheldBy", "Alias")
INSTALLS_ALSO = "Also"
# A unit file in one of these counts before that in /etc/systemd/system (systemd.unit(5), systemd.generator(7)).
BEFORE_ETC = (
    "/etc/systemd/system.control/", "/run/systemd/system.control/", "/run/systemd/transient/",
    "/run/systemd/generator.early/",
)  # fmt: skip
ACTIVE = ("active", "reloading", "refreshing")
# Kind of the ledger's entries: restart or reload -> the invocation that needs it.
STALE = "stale"


class ServiceError(TaskError):
    """A unit did not do as told; the message holds its last log lines."""


# Part of a unit of type oneshot that sets up the kernel's network, and needs no more than that.
NETWORK_ONESHOT = """\
# The boot waits for it, and without this for ever: one of type oneshot has no timeout of its own.
TimeoutStartSec=60

CapabilityBoundingSet=CAP_NET_ADMIN
LockPersonality=yes
NoNewPrivileges=yes
ProtectHome=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
"""


@dataclass(frozen=True)
class Unit:
    """A unit as systemd sees it."""

    name: str
    loaded: bool
    # Has come up, and is to be restarted rather than started.
    active: bool
    enabled: bool
    main_pid: int
    needs_reload: bool
    invocation: str = ""
    # Has processes, or will have again by itself: on its way up or down, or in a loop of crashes. To be stopped.
    running: bool = False
    # Name by which systemd has it where that is another one: it is an alias.
    alias_of: str = ""
    # Linked to /dev/null, so that nothing starts it.
    masked: bool = False
    # Its file where that counts before one in /etc/systemd/system.
    overridden_by: str = ""


def show(run: Run, name: str) -> Unit:
    """Ask systemd for the state of a unit; one that does not exist is simply not loaded."""
    _code, out, _err = run(["systemctl", "show", name, f"--property={','.join(PROPERTIES)}"])
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    state = found.get("ActiveState", "")
    loaded, path = found.get("LoadState") == "loaded", found.get("FragmentPath", "")
    return Unit(
        name=name,
        loaded=loaded,
        active=state in ACTIVE,
        enabled=found.get("UnitFileState") == "enabled",
        main_pid=int(found.get("MainPID") or 0),
        needs_reload=found.get("NeedDaemonReload") == "yes",
        invocation=found.get("InvocationID", ""),
        running=state in ACTIVE or state in ("activating", "deactivating"),
        alias_of=found["Id"] if loaded and found.get("Id", name) not in (name, f"{name}.service") else "",
        masked=found.get("LoadState") == "masked",
        overridden_by=path if path.startswith(BEFORE_ETC) else "",
    )


def with_install(run: Run, unit: Unit, text: str) -> Unit:
    """The unit, which counts as enabled where its new text leaves nothing to enable.

    systemd never calls such a unit enabled, but static, or indirect where only other units are to be.
    """
    wanted = installs(text)
    if any(wanted.get(option) for option in INSTALLS):
        return unit
    return replace(unit, enabled=all(_nothing_to_enable(run, name) for name in wanted.get(INSTALLS_ALSO, ())))


def _nothing_to_enable(run: Run, name: str) -> bool:
    """Whether a unit is enabled, or can never be."""
    _code, out, _err = run(["systemctl", "show", name, "--property=UnitFileState"])
    states = [f"UnitFileState={state}" for state in ("enabled", "static", "indirect", "alias")]
    return any(line in states for line in out.splitlines())


def installs(text: str) -> dict[str, list[str]]:
    """Words of each option of section [Install] of a unit; an empty value takes back the earlier ones."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        option, equals, value = line.partition("=")
        if line.strip().startswith("["):
            section = line.strip()
        elif section == "[Install]" and equals and not line.lstrip().startswith(("#", ";")):
            found[option.strip()] = [*found.get(option.strip(), ()), *value.split()] if value.strip() else []
    return found


def not_replaceable(unit: Unit) -> str:
    """Why a unit of others keeps one of this name in /etc/systemd/system from being it, and what to do; or nothing."""
    name = unit.name
    if unit.masked:
        return f"{name} is masked; let it start with: systemctl unmask {name}"
    if unit.alias_of:
        return f"{name} is an alias of {unit.alias_of}; take another name, or remove the alias"
    if unit.overridden_by:
        return f"{name} is read from {unit.overridden_by}, before any file in /etc/systemd/system; remove that"
    return ""


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
    """The digest a process was started with; None for a process without one.

    A daemon that writes its title over its environment, such as nginx, has it among its arguments.
    """
    for part in ("environ", "cmdline"):
        try:
            with open(f"/proc/{pid}/{part}", "rb") as stream:
                found = re.search(rb"\b%s=([0-9a-f]{16})\b" % DIGEST.encode(), stream.read())
        except OSError:
            return None
        if found:
            return found.group(1).decode()
    return None


def mark_stale(ledger: Ledger, operation: str, unit: Unit) -> None:
    """Note that the running process needs an operation (``restart`` or ``reload``)."""
    ledger.replace(STALE, operation, unit.invocation)


def is_stale(ledger: Ledger, operation: str, unit: Unit) -> bool:
    """Whether the running process still needs an operation that was noted."""
    return unit.active and ledger.before(STALE, operation) == unit.invocation


def refreshed(ledger: Ledger) -> None:
    """Forget what was noted: it has been done."""
    ledger.forget(STALE, *ledger.names(STALE))


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
