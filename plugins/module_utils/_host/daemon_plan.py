# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A daemon as it is wanted and as the host has it: its account, paths and unit, what differs, and what that needs."""

from __future__ import annotations

import base64
import os
import shlex
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    accounts,
    file_entry,
    file_notes,
    file_plan,
    install_record,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Change, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger

UNIT_DIRECTORY = "/etc/systemd/system"


@dataclass
class Plan:
    """All that differs between the host and the wanted daemon."""

    account: str = ""
    files: list[Change] = field(default_factory=list)
    enable: bool = False
    operation: str = ""
    due: str = ""
    restart_required: bool = False
    reload_required: bool = False
    stale: list[str] = field(default_factory=list)

    def actions(self, name: str, removing: bool = False) -> list[str]:
        """The plan as sentences."""
        said = [f"{'remove ' if removing else ''}account {self.account}"] if self.account else []
        said += [change.sentence() for change in self.files]
        if self.enable:
            said.append(f"enable {name}")
        if self.operation:
            said.append(f"{self.operation} {name}")
        return said


def full_name(params: dict[str, Any]) -> str:
    """Name of the unit with its suffix."""
    return f"{params['name']}.{params['kind']}"


def entries(params: dict[str, Any], check_mode: bool) -> list[Entry]:
    """The wanted paths, without the unit itself."""
    wanted = [
        Entry(
            path=item["path"],
            kind="directory",
            mode=int(item["mode"], 8),
            owner=item["owner"],
            group=item["group"],
            purge=item["purge"],
        )
        for item in params["directories"]
    ]
    for item in params["files"]:
        from_controller = item["content"] is None
        if from_controller and item["path"] in params["secrets"]:
            data = base64.b64decode(params["secrets"][item["path"]])
        elif from_controller:
            # Only check mode comes here: the controller has yet to make it, so it is not what the host has.
            data = b"to be made on the controller"
        else:
            data = item["content"].encode()
        wanted.append(
            Entry(
                path=item["path"],
                data=data,
                mode=int(item["mode"], 8),
                owner=item["owner"],
                group=item["group"],
                secret=from_controller or item["secret"],
                validate=tuple(shlex.split(item["validate"] or "")),
            )
        )
    return wanted


def plan(
    params: dict[str, Any],
    wanted: list[Entry],
    seen: dict[str, Entry | None],
    ledger: Ledger,
    unit: systemd.Unit,
    running: str | None,
) -> Plan:
    """Compare the wanted daemon with what the host has."""
    state = params["state"]
    if state == "absent":
        return Plan(
            account=next(iter(ledger.names(accounts.KIND)), ""),
            files=file_plan.plan([], seen, ledger, uninstall=True),
            operation="stop" if ledger.entries and unit.loaded else "",
        )
    needs = {item["path"]: item["needs"] for item in params["files"]}
    parts = [entry.data for entry in wanted if needs.get(entry.path, "restart") == "restart"]
    parts.append(params["unit"].encode())
    parts += [systemd.resolved(path) for path in params["restart_on"]]
    value = systemd.digest(parts)
    timer = params["kind"] == "timer"  # has no process that could be an old one
    text = params["unit"] if timer else systemd.with_digest(params["unit"], value)
    unit_file = Entry(f"{UNIT_DIRECTORY}/{full_name(params)}", data=text.encode())
    made = Plan(
        account=_missing_account(params),
        files=file_plan.plan([*wanted, unit_file], seen, ledger),
        enable=not unit.enabled,
    )
    made.stale = stale(made.files, needs)
    due(made, ledger, unit, outdated=not timer and running != value)
    if state == "started":
        if made.restart_required:
            made.operation = "restart" if unit.active else "start"
        elif made.reload_required:
            made.operation = "reload"
        if params["defer_restart"] and made.operation == "restart":
            made.operation, made.due = "", made.operation
    return made


def due(made: Plan, ledger: Ledger, unit: systemd.Unit, outdated: bool) -> None:
    """Say in the plan what the unit needs to run as its files say; ``outdated`` is a process of other content."""
    made.restart_required = (
        not unit.active or outdated or "restart" in made.stale or systemd.is_stale(ledger, "restart", unit)
    )
    made.reload_required = not made.restart_required and (
        "reload" in made.stale or systemd.is_stale(ledger, "reload", unit)
    )


def stale(changes: list[Change], needs: dict[str, str]) -> list[str]:
    """What a running process needs for these changes: ``restart``, ``reload``, both or nothing."""
    wanted = {
        needs.get(change.path, "restart")
        for change in changes
        if (change.before and (change.before.kind, change.before.data))
        != (change.after and (change.after.kind, change.after.data))
        and "directory" not in {entry.kind for entry in (change.before, change.after) if entry}
    }
    return [need for need in ("restart", "reload") if need in wanted]


def _missing_account(params: dict[str, Any]) -> str:
    name = str(params["account"]["name"]) if params["account"] else ""
    return name if name and accounts.number_of(name) is None else ""


def _held(entry: Entry | None) -> tuple[str, ...]:
    return entry.held if entry else ()


def refuse_move(wanted: list[Entry], seen: dict[str, Entry | None], ledger: Ledger) -> None:
    """Raise FileError where the daemon would begin without its data in a directory of its own in another place."""
    own = {entry.path for entry in wanted if entry.kind == "directory" and entry.purge}
    empty = [
        path for path in own if not ledger.owns(file_entry.KIND, path) and not file_notes.has_data(_held(seen[path]))
    ]
    places = {os.path.realpath(path) for path in own}
    for path, real in file_notes.data_directories(ledger).items():
        if path not in own and real not in places and empty:
            raise install_record.FileError(
                f"{empty[0]}: the data is in {path}, and there is none in the new place; nothing was changed. "
                f"{file_notes.how_to_move(ledger.owner, path, empty[0])}"
            )
