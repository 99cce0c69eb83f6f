# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make an authority and certificates on the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import authorities
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import (
    authority as certificates_authority,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    certificates as preflight_certificates,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts

REQUIRED = {"type": "str", "required": True}
USAGES = list(certificates_authority.USAGES)
REQUEST = {
    "host": REQUIRED,
    "name": REQUIRED,
    "common_name": REQUIRED,
    "organization": {"type": "str", "default": ""},
    "names": {"type": "list", "elements": "str", "default": []},
    "usages": {"type": "list", "elements": "str", "choices": USAGES, "default": ["client"]},
}
OPTIONS: dict[str, Any] = {
    "directory": {"type": "path", "required": True},
    "authority": REQUIRED,
    "authority_days": {"type": "int", "default": 3650},
    "days": {"type": "int", "default": 365},
    "renew_before": {"type": "int", "default": 30},
    "passphrase": {"type": "str", "default": "", "no_log": True},
    "new_authority": {"type": "bool", "default": False},
    "requests": {"type": "list", "elements": "dict", "required": True, "options": REQUEST},
}


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.certificates)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(OPTIONS)
        requests = [
            certificates_authority.Request(
                **{**request, "names": tuple(request["names"]), "usages": tuple(request["usages"])}
            )
            for request in arguments["requests"]
        ]
        try:
            authority = certificates_authority.Authority(
                arguments["directory"], arguments["renew_before"], passphrase=arguments["passphrase"]
            )
            if not arguments["new_authority"]:
                self._refuse_another(arguments["authority"], authority, requests, task_vars or {})
            changes = self._make(authority, arguments, requests)
        except (certificates_authority.CertificateError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        return {**result, **changes}

    def _make(
        self,
        authority: certificates_authority.Authority,
        arguments: Mapping[str, Any],
        requests: list[certificates_authority.Request],
    ) -> dict[str, Any]:
        """Make what is due, or say so in check mode; return the result of the task."""
        check_mode = self._task.check_mode
        founded = authority.certificate is None
        opened = list(authority.open_to_others())
        unprotected = authority.unprotected()
        if not check_mode:
            for path, _mode, wanted in opened:
                path.chmod(wanted)
            authority.ensure(arguments["authority"], arguments["authority_days"])
            if unprotected:
                authority.encrypt()
        reasons = {request: reason for request in requests if (reason := authority.reason(request))}
        for request in reasons if not check_mode else ():
            authority.issue(request, arguments["days"])
        diff = [changed(str(path), f"mode {mode:04o}", f"mode {wanted:04o}") for path, mode, wanted in opened]
        diff += [changed("ca", "", f"new: an authority of {arguments['authority_days']} days")] if founded else []
        diff += [changed("ca.key", "not encrypted", "encrypted")] if unprotected else []
        diff += [changed(request.path, "", f"new: {reason}") for request, reason in reasons.items()]
        written = ["ca.crt"] if founded else []
        written += [f"{request.path}{suffix}" for request in reasons for suffix in (".crt", ".key")]
        return {
            "reasons": {request.path: reason for request, reason in reasons.items()},
            "pending": [str((authority.directory / path).resolve()) for path in written] if check_mode else [],
            "changed": bool(diff),
            "diff": diff,
        }

    def _refuse_another(
        self,
        name: str,
        authority: certificates_authority.Authority,
        requests: list[certificates_authority.Request],
        task_vars: Mapping[str, Any],
    ) -> None:
        """Refuse to make certificates for hosts that are known to trust another authority of this name."""
        known = authorities.read(str(authority.directory / "ca.crt"))
        hostvars = task_vars.get("hostvars", {})
        for host in dict.fromkeys(request.host for request in requests):
            facts = run_facts.collected(hostvars[host]) if host in hostvars else {}
            for fingerprint in authorities.others(name, known, facts.get("authorities", {})):
                said = preflight_certificates.another(str(authority.directory), known, fingerprint)
                raise AnsibleActionFail(f"{authority.directory}: {said} [{host}]")


def changed(what: str, before: str, after: str) -> dict[str, str]:
    """A change in the form Ansible shows with ``--diff``."""
    return {
        "before_header": what,
        "after_header": what,
        "before": f"{before}\n" if before else "",
        "after": f"{after}\n",
    }
