#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Programs of the distribution, installed where they are missing, removed without a trace
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - A set is there when all of O(sets[].provides) exist. Then nothing is done, whoever installed it.
  - Otherwise its packages are installed with C(apt-get), and the packages that came with them are noted.
    The distribution's own units in O(sets[].units) are masked before, so that nothing of it is
    started, now or when the machine boots. A unit that was there before stays as it is.
  - O(state=absent) takes away exactly the packages that were installed here, unless something else has
    come to depend on them, with their configuration and with what their scripts leave behind.
  - Needs C(apt-get) only where something is missing. On other distributions install the packages first.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  sets:
    description: The sets of packages, for O(state=present).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the set.
        type: str
        required: true
      packages:
        description: Packages to install.
        type: list
        elements: str
        required: true
      provides:
        description: Paths that prove that the set is there.
        type: list
        elements: path
        required: true
      units:
        description: Units of the packages that are not to be started.
        type: list
        elements: str
        default: []
      leaves:
        description:
          - Files and directories that the packages' scripts make and do not take away, in this order.
            They go with the set, unless they were there before; a directory only if it is empty.
        type: list
        elements: path
        default: []
  names:
    description: Names of the sets to take away, for O(state=absent).
    type: list
    elements: str
    default: []
  state:
    description: Whether the sets are there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
---
- name: Install keepalived, and keep its own unit from running
  binary_cluster.networking.packages:
    sets:
      - name: keepalived
        packages: [keepalived]
        provides: [/usr/sbin/keepalived]
        units: [keepalived.service]

- name: Remove keepalived if it was not installed before
  binary_cluster.networking.packages:
    names: [keepalived]
    state: absent
"""

RETURN = r"""
installed:
  description: Names of the sets that are on the host.
  returned: O(state=present)
  type: list
  elements: str
packages:
  description: Packages that were installed or removed. In check mode, of those to install the ones asked for.
  returned: always
  type: list
  elements: str
"""

import os
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    files,
    install_record,
    packages,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

# Kind of the ledger's entries: name of a set -> what it asked for and leaves.
SETS = "sets"
UNIT_DIRECTORY = "/etc/systemd/system"


def refuse_names(sets: list[dict[str, Any]]) -> None:
    """Raise PackageError for what is no name of a package or unit."""
    for one in sets:
        packages.refuse_names(one["packages"])
        for unit in one["units"]:
            if not install_record.NAME.fullmatch(unit):
                raise packages.PackageError(f"units: {unit!r}: not the name of a unit, such as keepalived.service")


def install(module: HostModule, ledger: Ledger) -> tuple[bool, list[str]]:
    """Install the sets that are not there; tell whether any was not, and the packages that came or would."""
    run = module.run_command
    refuse_names(module.params["sets"])
    missing = [one for one in module.params["sets"] if _absent(one["provides"])]
    if not missing:
        return False, []
    asked = sorted({package for one in missing for package in one["packages"]})
    try:
        before = packages.installed(run)
    except OSError:
        paths = [path for one in missing for path in _absent(one["provides"])]
        raise packages.PackageError(
            f"{', '.join(paths)}: missing, and this host has no dpkg: install it with the host's own package manager"
        ) from None
    if module.check_mode:
        return True, [package for package in asked if package not in before]
    for one in missing:
        masks = [f"{UNIT_DIRECTORY}/{unit}" for unit in one["units"] if not systemd.show(run, unit).loaded]
        ledger.record(
            SETS, one["name"], {"packages": one["packages"], "leaves": _absent(one["leaves"]), "masks": masks}
        )
        files.apply(
            [file_entry.Change(path, file_entry.look(path), file_entry.link(path, "/dev/null")) for path in masks],
            ledger,
            run,
        )
    systemd.command(run, "daemon-reload")
    configured = packages.configured(run)
    note_transaction(run, ledger, configured)
    try:
        _get(run, asked, packages.begin(ledger.directory))
    finally:
        # Noted also where the installation broke off.
        came = note_transaction(run, ledger, configured)
    for one in missing:
        for path in _absent(one["provides"]):
            raise packages.PackageError(f"{path}: still missing with {', '.join(one['packages'])} installed")
    return True, came


def note_transaction(run: packages.Run, ledger: Ledger, configured: set[str]) -> list[str]:
    """Note the packages that our own transactions brought; also those of a run that was cut short."""
    said = packages.added(ledger.directory)
    present = packages.installed(run) if said else {}
    came = [package for package in said if package in present]
    notes = {package: {"configured": True} if package in configured else {} for package in came}
    ledger.record_all(packages.KIND, notes)
    packages.finish(ledger.directory)
    return came


def _get(run: packages.Run, names: list[str], said: str) -> None:
    words = [
        "apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "-oDPkg::Lock::Timeout=120",
        *packages.transaction_options(said), *names,
    ]  # fmt: skip
    try:
        packages.command(run, words)
    except packages.PackageError:
        # The lists are old, or there are none yet.
        packages.command(run, ["apt-get", "update", "--quiet", "-oDPkg::Lock::Timeout=120"])
        packages.command(run, words)


def _absent(paths: list[str]) -> list[str]:
    return [path for path in paths if not os.path.lexists(path)]


def uninstall(module: HostModule, ledger: Ledger) -> tuple[bool, list[str]]:
    """Take away the sets that were installed here; tell whether any was, and the packages that went or would."""
    run = module.run_command
    going = {name: ledger.before(SETS, name) for name in module.params["names"] if ledger.owns(SETS, name)}
    if not going:
        return False, []
    if not module.check_mode:
        note_transaction(run, ledger, set())  # of a run that was cut short
    staying = [name for name in ledger.names(SETS) if name not in going]
    wanted = [package for name in staying for package in ledger.before(SETS, name)["packages"]]
    names = packages.removable(ledger.names(packages.KIND), packages.installed(run), wanted)
    if module.check_mode:
        return True, names
    packages.purge(run, ledger, names)
    # What the sets that stay still need goes with the last of them; what others need has become theirs.
    ledger.forget(packages.KIND, *(names if staying else ledger.names(packages.KIND)))
    failures: list[str] = []
    for name, note in going.items():
        failures += files.take_away(note["leaves"], ledger, SETS, noted_as=name)
        masks = [path for path in note["masks"] if ledger.owns(file_entry.KIND, path)]
        changes = [change for change in files.release(ledger) if change.path in masks]
        failures += files.withdraw(changes, ledger, masks)
        ledger.forget(SETS, name)
    systemd.command(run, "daemon-reload")
    if failures:
        raise packages.PackageError("; ".join(failures))
    return True, names


def main() -> None:
    module = HostModule(
        # What it installs comes from the distribution's servers.
        proxies=True,
        argument_spec={
            "sets": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "packages": {"type": "list", "elements": "str", "required": True},
                    "provides": {"type": "list", "elements": "path", "required": True},
                    "units": {"type": "list", "elements": "str", "default": []},
                    "leaves": {"type": "list", "elements": "path", "default": []},
                },
            },
            "names": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    present = module.params["state"] == "present"
    with module.reporting("packages"):
        ledger = install_record.Ledger("packages")
        changed, names = install(module, ledger) if present else uninstall(module, ledger)
    result: dict[str, Any] = {"changed": changed, "packages": names}
    if present:
        result["installed"] = [one["name"] for one in module.params["sets"]]
    listing = "".join(f"{name}\n" for name in names)
    diff = {"before": "" if present else listing, "after": listing if present else "", "before_header": "packages"}
    module.exit_json(diff=diff, **result)


if __name__ == "__main__":
    main()
