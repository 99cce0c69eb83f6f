# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What hosts differ in from the inventory, told from what the roles would change.

The roles register what each of their modules would do under ``__<role>_<what>``; what is done once for all hosts
is ``__<role>_cluster_<what>``. The report is the dict that ``drift.json`` holds::

    {"ok": bool, "started": str, "hosts": [str],
     "differences": [{"host", "role", "what", "before", "after"}],
     "unreachable": [{"host", "reason", "fix"}]}

``hosts`` are those that were compared. Nothing is known of those that Ansible did not reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import absence

Report = dict[str, Any]
CLUSTER = "cluster"


def differences(result: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """What a module would change, from its result: what it would do, and each diff."""
    diffs = result.get("diff") or []
    shown = set()
    for diff in [diffs] if isinstance(diffs, Mapping) else diffs:
        if diff.get("before") != diff.get("after"):
            shown.add(diff["after_header"])
            yield {"what": diff["after_header"], "before": diff["before"], "after": diff["after"]}
    # A module names the files it writes, and the tables it loads, among its actions, too.
    for action in result.get("actions", ()):
        if not action.endswith(tuple(f" {header}" for header in shown)):
            yield {"what": action, "before": "", "after": ""}


def build(
    hosts: Iterable[str],
    registered: Mapping[str, Mapping[str, Any]],
    roles: Iterable[str],
    started: str,
    absent: Mapping[str, absence.Absence],
) -> Report:
    """The report of these hosts, from all that they and the controller have registered, by host and name.

    ``absent`` are those of them that Ansible did not reach.
    """
    by_length = sorted(roles, key=len, reverse=True)
    found: list[dict[str, str]] = []
    for host, results in registered.items():
        for name, result in results.items():
            role = next((role for role in by_length if name.startswith(f"__{role}_")), "")
            if not role or not isinstance(result, Mapping) or not result.get("changed"):
                continue
            once = name.startswith(f"__{role}_cluster_")
            for one in differences(result):
                found.append({"host": CLUSTER if once else host, "role": role, **one})
    unique = {(one["host"], one["role"], one["what"]): one for one in found}
    return {
        "ok": not unique and not absent,
        "started": started,
        "hosts": [host for host in hosts if host not in absent],
        "differences": list(unique.values()),
        "unreachable": [
            {"host": host, "reason": why.reason, "fix": absence.remedy(host)} for host, why in absent.items()
        ],
    }


def verdict(report: Report) -> str:
    """What a report comes to where it is not ok, with what to do."""
    told = []
    if count := len(report["differences"]):
        told.append(f"{count} differences from the inventory; a run of site mends them")
    for one in report["unreachable"]:
        told.append(f"{one['host']} was not compared: unreachable by Ansible: {one['reason']} [{one['fix']}]")
    return "\n".join(told)


def table(report: Report) -> str:
    """The differences and the hosts that were not reached, a line each."""
    found = [(one["host"], one["role"], one["what"]) for one in report["differences"]]
    rows = [("host", "role", "what differs"), *found] if found else []
    rows += [(one["host"], "-", f"unreachable by Ansible: {one['reason']}") for one in report["unreachable"]]
    width = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [] if found else [f"{len(report['hosts'])} hosts, no difference"]
    return "\n".join([*lines, *(f"{host:{width[0]}}  {role:{width[1]}}  {what}" for host, role, what in rows)])
