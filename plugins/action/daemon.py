# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the secret files of a daemon on the controller and hand them to the module."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.daemon)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["secrets"] = {}
        pending = to_be_made(task_vars or {}) if self._task.check_mode else ()
        for item in arguments.get("files") or []:
            source = item.get("src")
            if not source or str(Path(source).expanduser().resolve()) in pending:
                continue
            try:
                secret = Path(source).expanduser().read_bytes()
            except FileNotFoundError:
                if self._task.check_mode:
                    continue  # the run would make it first
                raise AnsibleActionFail(f"{item['path']}: there is no {source} on the controller") from None
            arguments["secrets"][item["path"]] = base64.b64encode(secret).decode()
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result


def to_be_made(task_vars: Mapping[str, Any]) -> Sequence[str]:
    """Files of the controller that the run would make first, as role certificates found in check mode."""
    made = task_vars["hostvars"]["localhost"].get("__certificates_cluster_made") or {}
    return list(made.get("pending", ()))
