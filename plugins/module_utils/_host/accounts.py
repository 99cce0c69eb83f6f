# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""System accounts that daemons run as: made where they are missing, removed where they were made here."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[[Sequence[str]], "tuple[int, str, str]"]
# Kind of the ledger's entries: name of an account -> its number, once it has one.
KIND = "accounts"


class AccountError(TaskError):
    """An account could not be made or removed; the message has the program's own words."""


def number_of(name: str) -> int | None:
    """Number of an account; None where there is none of that name."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def make(run: Run, ledger: Ledger, name: str, home: str) -> None:
    """Make a system account and its group. Where that fails, nothing of it stays noted."""
    ledger.record(KIND, name, {})
    code, out, err = run(
        [
            "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home,
            "--shell", "/usr/sbin/nologin", name,
        ]
    )  # fmt: skip
    number = number_of(name)
    if number is None:
        ledger.forget(KIND, name)
    if code != 0 or number is None:
        raise AccountError(f"useradd {name}: {(err or out).strip() or f'ended with {code}'}")
    ledger.replace(KIND, name, {"uid": number})


def remove(run: Run, ledger: Ledger, name: str) -> str:
    """Remove an account that was made here, with its group; return why it is left, if it is."""
    ledger.require(KIND, name)
    noted = (ledger.before(KIND, name) or {}).get("uid")
    number = number_of(name)
    if number is not None and noted is not None and number != noted:
        ledger.forget(KIND, name)
        return f"account {name} is left: it has number {number}, and the one made here had {noted}"
    if number is not None:
        _must(run, "userdel", name)
    # Where login.defs(5) has userdel keep it.
    if number is not None and _group_is_alone(name):
        _must(run, "groupdel", name)
    ledger.forget(KIND, name)
    return ""


def _must(run: Run, program: str, name: str) -> None:
    code, out, err = run([program, name])
    if code != 0:
        raise AccountError(f"{program} {name}: {(err or out).strip() or f'ended with {code}'}")


def _group_is_alone(name: str) -> bool:
    try:
        return not grp.getgrnam(name).gr_mem
    except KeyError:
        return False
