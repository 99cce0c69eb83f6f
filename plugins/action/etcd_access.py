# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a client certificate from the controller's authority for the module to ask with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import (
    authority as certificates_authority,
    etcd_client,
)


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.etcd_access)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        host = (task_vars or {})["inventory_hostname"]
        request = certificates_authority.Request(host, arguments.get("client", ""), arguments.get("client", ""))
        try:
            passphrase = arguments.pop("passphrase", "")
            if files := arguments.pop("files", None):
                arguments["secrets"] = given(files)
                arguments["authority"] = etcd_client.VARIABLE
                arguments["client"] = etcd_client.common_name(files["certificate"])
            else:
                authority = certificates_authority.Authority(arguments.get("authority", ""), 0, passphrase=passphrase)
                arguments["secrets"] = issue_ephemeral(authority, request) if authority.certificate else {}
        except (certificates_authority.CertificateError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        return result


def given(files: Mapping[str, str]) -> dict[str, str]:
    """What the files of a client hold, by the names that the module gives them. Raises OSError."""
    names = {"ca.crt": "ca", "client.crt": "certificate", "client.key": "key"}
    return {name: Path(files[word]).expanduser().read_text("ascii") for name, word in names.items()}


def issue_ephemeral(
    authority: certificates_authority.Authority, request: certificates_authority.Request
) -> dict[str, str]:
    """An authority's certificate, a client's and its key, by the names of their files; kept nowhere if new."""
    key, certificate = authority.issue_ephemeral(request)
    ca = Path(authority.directory, "ca.crt").read_bytes()
    return {"ca.crt": ca.decode(), "client.crt": certificate.decode(), "client.key": key.decode()}
