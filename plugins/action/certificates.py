# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make an authority and certificates on the controller."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _certificates


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.certificates)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        required = {"type": "str", "required": True}
        _spec, arguments = self.validate_argument_spec(
            {
                "directory": {"type": "path", "required": True},
                "authority": required,
                "authority_days": {"type": "int", "default": 3650},
                "days": {"type": "int", "default": 365},
                "renew_before": {"type": "int", "default": 30},
                "requests": {
                    "type": "list",
                    "elements": "dict",
                    "required": True,
                    "options": {
                        "host": required,
                        "name": required,
                        "common_name": required,
                        "organization": {"type": "str", "default": ""},
                        "names": {"type": "list", "elements": "str", "default": []},
                        "usages": {
                            "type": "list",
                            "elements": "str",
                            "choices": list(_certificates.USAGES),
                            "default": ["client"],
                        },
                    },
                },
            }
        )
        requests = [
            _certificates.Request(**{**request, "names": tuple(request["names"]), "usages": tuple(request["usages"])})
            for request in arguments["requests"]
        ]
        try:
            authority = _certificates.Authority(arguments["directory"], arguments["renew_before"])
            founded = authority.certificate is None
            if founded and not self._task.check_mode:
                authority.ensure(arguments["authority"], arguments["authority_days"])
            reasons = {request: authority.reason(request) for request in requests}
            for request, reason in reasons.items():
                if reason and not self._task.check_mode:
                    authority.issue(request, arguments["days"])
        except (_certificates.CertificateError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        made = {request.path: reason for request, reason in reasons.items() if reason}
        result["reasons"] = made
        result["changed"] = bool(made) or founded
        result["diff"] = [
            {"before_header": path, "after_header": path, "before": "", "after": f"new: {reason}\n"}
            for path, reason in made.items()
        ]
        return result
