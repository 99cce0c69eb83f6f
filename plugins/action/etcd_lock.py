# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say on the controller who holds the lock of an etcd cluster."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.etcd_lock)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        # An action runs in a worker; its parent is the process of the whole run.
        holder = f"{getpass.getuser()}@{socket.gethostname()}, process {os.getppid()}"
        arguments = {"holder": holder, **self._task.args}
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result
