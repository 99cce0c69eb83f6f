# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: run_report
type: notification
short_description: What a run changed where, and how long each role took
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Writes a JSON file for every run, with each task that was executed, changed or failed by host, the versions
    that took part, and the time of every role and host. Ends the run with a short table, where the stdout callback is
    P(ansible.builtin.default#callback); to that of another it adds nothing.
  - A file of check mode and one of the run after it have the same form, so the two can be compared.
requirements:
  - Enable it, for example with C(ANSIBLE_CALLBACKS_ENABLED=binary_cluster.networking.run_report).
options:
  directory:
    description: Directory of the files. The newest is also C(run.json).
    type: path
    default: report
    env:
      - name: BINARY_CLUSTER_RUN_REPORT
    ini:
      - section: binary_cluster_run_report
        key: directory
"""

import datetime
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from ansible import __version__ as ansible_version, context
from ansible.plugins.callback import CallbackBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import paths, terminal

OUTCOMES = ("ok", "changed", "skipped", "failed", "unreachable")


class CallbackModule(CallbackBase):
    """Collects the results of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "binary_cluster.networking.run_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.began = time.time()
        self.task_began = self.began
        self.playbook = ""
        self.tasks: list[dict[str, Any]] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self.playbook = Path(playbook._file_name).name

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self.task_began = time.time()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._note(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._note(result, "skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._note(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        report = self._report()
        directory = paths.called_from(self.get_option("directory"))
        directory.mkdir(parents=True, exist_ok=True)
        began = datetime.datetime.fromtimestamp(self.began, datetime.timezone.utc)
        mode = "-check" if report["check_mode"] else ""
        text = json.dumps(report, indent=1) + "\n"
        (directory / f"run-{began:%Y%m%dT%H%M%S%f}{mode}.json").write_text(text)
        (directory / "run.json").write_text(text)
        if terminal.is_default():
            self._display.display(table(report))

    def _note(self, result: Any, outcome: str) -> None:
        task = result._task
        role = task._role.get_name(include_role_fqcn=False) if task._role else ""
        self.tasks.append(
            {
                "host": result._host.get_name(),
                "role": role,
                "task": task.name or task.action,
                "action": task.action,
                "outcome": outcome,
                "seconds": round(time.time() - self.task_began, 3),
            }
        )

    def _report(self) -> dict[str, Any]:
        hosts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(OUTCOMES, 0))
        roles: dict[str, dict[str, float]] = defaultdict(lambda: {"tasks": 0, "changed": 0, "seconds": 0.0})
        slowest: dict[tuple[str, str], float] = {}
        for task in self.tasks:
            hosts[task["host"]][task["outcome"]] += 1
            if task["outcome"] != "skipped":
                roles[task["role"]]["tasks"] += 1
            roles[task["role"]]["changed"] += task["outcome"] == "changed"
            key = (task["role"], task["task"])
            slowest[key] = max(slowest.get(key, 0.0), task["seconds"])
        for (role, _task), seconds in slowest.items():
            roles[role]["seconds"] = round(roles[role]["seconds"] + seconds, 3)
        return {
            "playbook": self.playbook,
            "check_mode": bool(context.CLIARGS.get("check")),
            "started": datetime.datetime.fromtimestamp(self.began, datetime.timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self.began, 3),
            "versions": {"ansible": ansible_version, "python": sys.version.split()[0]},
            "hosts": dict(hosts),
            "roles": dict(roles),
            "tasks": self.tasks,
        }


def table(report: dict[str, Any]) -> str:
    """Time, tasks and changes of every role, the slowest first, and of the whole run."""
    rows = sorted(report["roles"].items(), key=lambda item: -item[1]["seconds"])
    width = max([len(name) for name, _row in rows] + [len("whole run")])
    lines = [f"\n{'role':{width}}  seconds  host-tasks  changed"]
    for name, row in rows:
        lines.append(f"{name or '-':{width}}  {row['seconds']:7.1f}  {row['tasks']:10.0f}  {row['changed']:7.0f}")
    done = [task for task in report["tasks"] if task["outcome"] != "skipped"]
    changed = sum(task["outcome"] == "changed" for task in done)
    lines.append(f"{'whole run':{width}}  {report['seconds']:7.1f}  {len(done):10}  {changed:7}")
    return "\n".join(lines)
