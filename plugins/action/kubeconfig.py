# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a host's kubeconfigs, lead them elsewhere on the controller, and hand them to the module.

A host may lack a Python library for YAML; the controller has one.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import kubeconfig

# Arguments -> fields of a kubeconfig: those of the cluster and of the user, embedded and by path.
CLUSTER = {"authority": "certificate-authority-data", "authority_path": "certificate-authority"}
USER = {
    "certificate": "client-certificate-data",
    "certificate_path": "client-certificate",
    "key": "client-key-data",
    "key_path": "client-key",
    "token": "token",
    "token_path": "tokenFile",
}
EMBEDDED = ("authority", "certificate", "key")


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.kubeconfig)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        seen = self._execute_module(module_args=arguments, task_vars=task_vars)
        if seen.get("failed"):
            result.update(seen)
            return result
        files = [{**item, "path": path} for item, path in zip(arguments.get("files") or [], seen["paths"])]
        wanted = {item["path"]: item for item in files}
        if arguments.get("state", "present") == "absent":
            wanted = {}
        contents, units, faults = {}, [], []
        for path, there in seen["found"].items():
            try:
                content, moved = self._retargeted(wanted[path], there) if path in wanted else restored(there)
            except kubeconfig.KubeconfigError as error:
                faults.append(f"{path}: {error}")
                continue
            if content is not None:
                contents[path] = base64.b64encode(content).decode()
            if moved:
                units += (wanted.get(path) or there["retargeted"] or {}).get("restart", [])
        if faults:
            raise AnsibleActionFail("\n".join(["the kubeconfigs have faults; nothing was changed", *faults]))
        arguments.update(files=files, contents=contents, units=units)
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result

    def _retargeted(self, item: dict[str, Any], there: dict[str, Any]) -> tuple[bytes, bool]:
        """Content of a kubeconfig that is wanted, and whether it leads elsewhere than before."""
        data = base64.b64decode(there["data"] or "")
        config = kubeconfig.parse(data)
        which = kubeconfig.names(config, item.get("cluster", ""), item.get("user", ""), item.get("context", ""))
        wanted = kubeconfig.Connection(
            {"server": item["server"], **self._fields(item, CLUSTER)}, self._fields(item, USER)
        )
        if not wanted.user and not kubeconfig.connection(config, which).user:
            raise kubeconfig.KubeconfigError(
                f"user {which.user} has no credentials there; give it a certificate and key, or a token"
            )
        made = kubeconfig.retargeted(config, which, wanted)
        moved = kubeconfig.connection(config, which) != kubeconfig.connection(made, which)
        return (data if made == config else kubeconfig.render(made)), moved

    def _fields(self, item: dict[str, Any], fields: dict[str, str]) -> dict[str, str]:
        """Fields of a kubeconfig that arguments stand for."""
        found = {}
        for argument, field in fields.items():
            value = item.get(argument)
            if not value:
                continue
            if argument in EMBEDDED:
                try:
                    value = base64.b64encode(Path(value).expanduser().read_bytes()).decode()
                except OSError as error:
                    if not self._task.check_mode:
                        raise kubeconfig.KubeconfigError(f"{argument}: {value}: {error.strerror}") from None
                    value = ""  # the run would make it first
            found[field] = value
        return found


def restored(there: dict[str, Any]) -> tuple[bytes | None, bool]:
    """Content of a kubeconfig that is restored, and whether its server changes; None where none was there."""
    if there["before"] is None or there["data"] is None:
        return None, False
    former, data = base64.b64decode(there["before"]), base64.b64decode(there["data"])
    before, config = kubeconfig.parse(former), kubeconfig.parse(data)
    entries = there["retargeted"] or {}
    which = kubeconfig.names(before, entries.get("cluster", ""), entries.get("user", ""), entries.get("context", ""))
    made = kubeconfig.restored(config, which, before)
    moved = kubeconfig.connection(config, which) != kubeconfig.connection(before, which)
    return (former if made == before else kubeconfig.render(made)), moved
