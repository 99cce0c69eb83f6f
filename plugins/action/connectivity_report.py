# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather what the probe pods found and write the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import printable
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import (
    build as report_build,
    html as report_html,
    junit as report_junit,
    matrix as report_matrix,
    prometheus,
    state as report_state,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import absence, paths, terminal

# A cut network fails every pair; nobody reads a thousand lines.
SHOWN = 20


def no_pair(node: str, elsewhere: Sequence[str]) -> str:
    """What a run of a single node says, where the inventory has more."""
    return (
        f"no pair of nodes was verified: {node} is alone in this run, without {', '.join(elsewhere[:SHOWN])}"
        f"{', ...' if len(elsewhere) > SHOWN else ''}; verify with the other nodes: "
        "ansible-playbook binary_cluster.networking.verify, without --limit"
    )


REQUIRED = {"type": "dict", "required": True}
OPTIONS: dict[str, Any] = {
    "backend": {"type": "str", "required": True},
    "addresses": REQUIRED,
    "prepared": {"type": "dict", "default": {}},
    "ready": REQUIRED,
    "probed": REQUIRED,
    "elsewhere": {"type": "list", "elements": "str", "default": []},
    "evidence": {"type": "dict", "default": {}},
    "throughput": {"type": "dict", "default": {}},
    "protocols": {"type": "list", "elements": "str", "required": True},
    "started": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "template": {"type": "path", "required": True},
    "compare": {"type": "path", "default": ""},
    "prometheus_file": {"type": "path", "default": ""},
}


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.connectivity_report)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(OPTIONS)
        if arguments["prometheus_file"]:
            _checked("prometheus_file", arguments, prometheus.check)
        # Before anything is written: the earlier report may be the one that is replaced.
        earlier = _checked("compare", arguments, report_state.read) if arguments["compare"] else None
        report = _report(arguments, earlier)
        # It proves nothing, and must not take the place of a report that did.
        if report["ok"] and arguments["elsewhere"] and len(arguments["addresses"]) == 1:
            raise AnsibleActionFail(no_pair(next(iter(arguments["addresses"])), arguments["elsewhere"]))
        text = self._write(report, paths.called_from(arguments["directory"]), Path(arguments["template"]))
        if arguments["prometheus_file"]:
            prometheus.write(paths.called_from(arguments["prometheus_file"]), report)
        terminal.show(result, text)
        if report["ok"]:
            result["report"] = {
                key: report[key] for key in ("ok", "backend", "started", "duration_s", "compared") if key in report
            }
        else:
            told = _shortened(report_matrix.failures(report))
            result.update(failed=True, msg=f"the pod network is not whole:\n{told}")
        return result

    @staticmethod
    def _write(report: report_build.Report, directory: Path, template: Path) -> str:
        """Write the report in all its forms; return that for a terminal."""
        directory.mkdir(parents=True, exist_ok=True)
        page = directory / "connectivity.html"
        (directory / "connectivity.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (directory / "connectivity.xml").write_text(report_junit.junit(report), encoding="utf-8")
        page.write_text(report_html.page(template.read_text(encoding="utf-8"), report), encoding="utf-8")
        text = f"\n{report_matrix.matrix(report)}\n\n{report_matrix.summary(report)}\n"
        text += "".join(f"{line}\n" for line in report_matrix.costs(report))
        if "compared" in report:
            text += _shortened(list(report_state.changes(report["compared"]))) + "\n"
        text += f"report: {paths.shown(page)}"
        (directory / "connectivity.txt").write_text(text + "\n", encoding="utf-8")
        return text


def _report(arguments: dict[str, Any], earlier: Any) -> report_build.Report:
    """The report of what the probe pods found, beside an earlier one where there is one."""
    prepared, ready, probed = arguments["prepared"], arguments["ready"], arguments["probed"]
    report = report_build.build(
        backend=arguments["backend"],
        every={node: found["pods"] for node, found in ready.items() if "pods" in found},
        addresses=arguments["addresses"],
        outcomes={node: found["outcomes"] for node, found in probed.items() if "outcomes" in found},
        absent={
            node: absence.absence(prepared.get(node, {}), ready.get(node, {}), probed.get(node, {}))
            for node in arguments["addresses"]
            if "pods" not in ready.get(node, {}) or "outcomes" not in probed.get(node, {})
        },
        protocols=arguments["protocols"],
        started=arguments["started"],
        evidence={node: found["evidence"] for node, found in arguments["evidence"].items() if "evidence" in found},
        duration=max([found.get("duration", 0.0) for found in probed.values()], default=0.0),
    )
    measured = {node: found["throughput"] for node, found in arguments["throughput"].items() if "throughput" in found}
    if measured:
        report["throughput"] = report_build.throughput(measured)
    if earlier:
        report["compared"] = report_state.compare(earlier, report)
    return printable.cleaned(report)


def _checked(name: str, arguments: dict[str, Any], check: Callable[[Path], Any]) -> Any:
    """What a check makes of a path that was given; fails where it refuses it."""
    try:
        return check(paths.called_from(arguments[name]))
    except ValueError as error:
        raise AnsibleActionFail(f"{name}: {arguments[name]}: {error}") from error


def _shortened(lines: list[str]) -> str:
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join(lines[:SHOWN] + more)
