# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what the probe pods found and write the report."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _connectivity

display = Display()
# A cut network fails every pair; nobody reads a thousand lines.
SHOWN = 20


def absence(ready: Mapping[str, Any], probed: Mapping[str, Any]) -> str:
    """Why a node has no probe pod, or did not probe."""
    failed = [found for found in (ready, probed) if found.get("failed") or found.get("unreachable")]
    if not failed:
        return "it was not reached"
    return str(failed[0]["msg"]).removeprefix("Task failed: ").removeprefix("Module failed: ")


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.connectivity_report)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        dictionary = {"type": "dict", "required": True}
        _spec, arguments = self.validate_argument_spec(
            {
                "backend": {"type": "str", "required": True},
                "addresses": dictionary,
                "ready": dictionary,
                "probed": dictionary,
                "evidence": {"type": "dict", "default": {}},
                "protocols": {"type": "list", "elements": "str", "required": True},
                "started": {"type": "str", "required": True},
                "directory": {"type": "path", "required": True},
                "template": {"type": "path", "required": True},
            }
        )
        ready, probed = arguments["ready"], arguments["probed"]
        report = _connectivity.build(
            backend=arguments["backend"],
            pods={node: found["pod"] for node, found in ready.items() if "pod" in found},
            addresses=arguments["addresses"],
            outcomes={node: found["outcomes"] for node, found in probed.items() if "outcomes" in found},
            absent={
                node: absence(ready.get(node, {}), probed.get(node, {}))
                for node in arguments["addresses"]
                if "pod" not in ready.get(node, {}) or "outcomes" not in probed.get(node, {})
            },
            protocols=arguments["protocols"],
            started=arguments["started"],
            evidence={node: found["evidence"] for node, found in arguments["evidence"].items() if "evidence" in found},
            duration=max([found.get("duration", 0.0) for found in probed.values()], default=0.0),
        )
        here = Path(os.environ.get("PWD", "."))
        directory = here / Path(arguments["directory"]).expanduser()
        directory.mkdir(parents=True, exist_ok=True)
        template = Path(arguments["template"]).read_text(encoding="utf-8")
        (directory / "connectivity.json").write_text(json.dumps(report, indent=1) + "\n")
        (directory / "connectivity.xml").write_text(_connectivity.junit(report))
        (directory / "connectivity.html").write_text(_connectivity.page(template, report))
        page = directory / "connectivity.html"
        text = (
            f"\n{_connectivity.matrix(report)}\n\n{_connectivity.summary(report)}\n"
            f"report: {page.relative_to(here) if page.is_relative_to(here) else page}"
        )
        (directory / "connectivity.txt").write_text(text + "\n")
        display.display(text)
        if not report["ok"]:
            lines = _connectivity.failures(report)
            more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
            raise AnsibleActionFail("the pod network is not whole:\n" + "\n".join(lines[:SHOWN] + more))
        result["report"] = {key: report[key] for key in ("ok", "backend", "started", "duration_s")}
        return result
