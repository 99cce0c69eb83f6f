# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the secret files of a daemon on the controller and hand them to the module."""

from __future__ import annotations

import base64
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
        for item in arguments.get("files") or []:
            source = item.get("src")
            if not source:
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
