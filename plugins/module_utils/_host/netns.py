# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Named network namespaces: their names, and the record of those that this collection made."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[..., "tuple[int, str, str]"]
NAMESPACES = "/run/netns"
OWNER = "network-namespaces"
KIND = "namespaces"
# A file name has 255 bytes at most.
LONGEST = 255


class NamespaceError(TaskError):
    """A namespace cannot be made or removed; the message says why, with the words of the command."""


def record() -> Ledger:
    """The record of namespaces."""
    return Ledger(OWNER)


def path(where: str, name: Any, further: str = "") -> str:
    """Path of a namespace; names that lead out of the directory of namespaces raise SpecError."""
    return os.path.join(NAMESPACES, validation.component(where, name, LONGEST, further))


def there(name: str) -> bool:
    """Whether there is a namespace of this name; a link that leads nowhere counts."""
    return os.path.lexists(os.path.join(NAMESPACES, name))


def owned(ledger: Ledger, name: str) -> bool:
    """Whether this collection made the namespace. What was made before the last boot is gone."""
    before = ledger.before(KIND, name)
    return bool(before) and before.get("boot") == _boot()


def make(run: Run, ledger: Ledger, name: str) -> None:
    """Make a namespace with its loopback up, as a runtime does; one that cannot be completed is removed again."""
    if there(name):
        raise NamespaceError(f"ip netns add {name}: there is such a network namespace already")
    # Of an earlier boot there may be an entry.
    ledger.replace(KIND, name, {"boot": _boot()})
    for command in (["ip", "netns", "add", name], ["ip", "-n", name, "link", "set", "lo", "up"]):
        code, _out, err = run(command)
        if code != 0:
            remove(run, ledger, name)
            raise NamespaceError(f"{' '.join(command)}: {err.strip()}")


def remove(run: Run, ledger: Ledger, name: str) -> bool:
    """Remove a namespace that the record shows as ours, and its entry; return whether nothing of it is left."""
    if there(name):
        if not owned(ledger, name):
            return False
        code, _out, err = run(["ip", "netns", "delete", name])
        if code != 0:
            raise NamespaceError(f"ip netns delete {name}: {err.strip()}")
    ledger.forget(KIND, name)
    return True


def clear(run: Run, ledger: Ledger, name: str) -> None:
    """Remove a namespace that is ours. Raises NamespaceError where it is somebody else's."""
    if not remove(run, ledger, name):
        raise NamespaceError(
            "a network namespace of this name is there that this collection did not make; remove it with "
            f"`ip netns delete {name}` if nobody needs it"
        )


def busy(run: Run, name: str) -> bool:
    """Whether processes run in a namespace."""
    return bool(run(["ip", "netns", "pids", name])[1].strip())


def _boot() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        return stream.read().strip()
