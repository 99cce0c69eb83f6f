# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what the roles would change and report it as what hosts differ in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import printable
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import drift
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import absence, paths, terminal

ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.drift_report)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(
            {
                "hosts": {"type": "list", "elements": "str", "required": True},
                "contacts": {"type": "dict", "default": {}},
                "started": {"type": "str", "required": True},
                "directory": {"type": "path", "required": True},
            }
        )
        hostvars = (task_vars or {})["hostvars"]
        registered = {
            host: {name: hostvars[host][name] for name in hostvars[host] if name.startswith("__")}
            # What is made on the controller for all hosts is the controller's.
            for host in dict.fromkeys([*arguments["hosts"], "localhost"])
        }
        report = drift.build(
            arguments["hosts"],
            registered,
            (path.name for path in ROLES.iterdir()),
            arguments["started"],
            absent={
                host: absence.absence(found)
                for host, found in arguments["contacts"].items()
                if host in arguments["hosts"] and (found.get("failed") or found.get("unreachable"))
            },
        )
        report = printable.cleaned(report)
        path = paths.called_from(arguments["directory"]) / "drift.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1) + "\n")
        terminal.show(result, f"\n{drift.table(report)}\n\nreport: {paths.shown(path)}")
        if report["ok"]:
            result["report"] = {key: report[key] for key in ("ok", "started", "hosts")}
        else:
            result.update(failed=True, msg=drift.verdict(report))
        return result
