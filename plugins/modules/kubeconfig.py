#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Kubeconfigs that lead to one address, whoever wrote them
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Makes kubeconfigs, and leads those that another tool wrote elsewhere. Of these it changes the server of
    the cluster in use and, where they are given, what is trusted and the credentials. Everything else in
    them is kept, and one that leads there already is left as it is, byte by byte.
  - A unit that reads a kubeconfig is restarted where the server, the trust or the credentials in it changed,
    and for nothing else. One that does not run is not started.
  - A new kubeconfig can be read by its owner only. One that was there keeps its mode, but others can no longer read it
    once credentials are put into it.
  - V(absent) leads the kubeconfigs back to where they led before, and removes those that were not there.
  - Nothing is changed on a host while anything is wrong with any of its kubeconfigs.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  files:
    description: The kubeconfigs. What was one of them in an earlier run, and is no more, is led back.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the kubeconfig is, or is to be.
        type: path
        required: true
      server:
        description: Where it leads.
        type: str
        required: true
      authority:
        description: File on the controller with the certificate that clients are to trust. It is embedded.
        type: str
      authority_path:
        description: Path on the host of the certificate that clients are to trust.
        type: path
      certificate:
        description: File on the controller with the client certificate. It is embedded.
        type: str
      certificate_path:
        description: Path on the host of the client certificate.
        type: path
      key:
        description: File on the controller with the key of the client certificate. It is embedded.
        type: str
      key_path:
        description: Path on the host of the key of the client certificate.
        type: path
      token:
        description: Token of the client.
        type: str
      token_path:
        description: Path on the host of a file with the client's token.
        type: path
      cluster:
        description: Name of the cluster. Without one, that of the context, or C(kubernetes) in a new file.
        type: str
        default: ""
      user:
        description: Name of the user. Without one, that of the context, or C(default) in a new file.
        type: str
        default: ""
      context:
        description: Name of the context. Without one, the current one, or C(default) in a new file.
        type: str
        default: ""
      owner:
        description: Owner of the file. Without one, a file that was there keeps its own, and a new one is root's.
        type: str
      group:
        description: Group of the file. Without one, a file that was there keeps its own, and a new one is root's.
        type: str
      restart:
        description: Units that read the file when they start.
        type: list
        elements: str
        default: []
  state:
    description: What to do with the kubeconfigs.
    type: str
    choices: [present, absent]
    default: present
  contents:
    description: Content of each kubeconfig, by path, in base64. The action plugin sets it.
    type: dict
  units:
    description: Units whose connection changes. The action plugin sets it.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Point the kubelet and kube-proxy to the virtual address
  binary_cluster.networking.kubeconfig:
    files:
      - path: /etc/kubernetes/kubelet.kubeconfig
        server: https://192.0.2.100:6443
        restart: [kubelet.service]
      - path: /etc/kubernetes/kube-proxy.kubeconfig
        server: https://192.0.2.100:6443
        authority: pki/kubernetes/ca.crt
        certificate: pki/kubernetes/kube-proxy/client.crt
        key: pki/kubernetes/kube-proxy/client.key
        restart: [kube-proxy.service]

- name: Restore the kubeconfigs
  binary_cluster.networking.kubeconfig:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["file /etc/kubernetes/kubelet.kubeconfig", "restart kubelet.service"]
"""

import base64
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_plan,
    files,
    install_record,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Change, Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

OWNER = "kubeconfig"
# Kind of the ledger's entries: path -> names of the entries that point to another server, and units.
RETARGETED = "led"  # the word that records on hosts have
NAMES = ("cluster", "user", "context", "restart")
CREDENTIALS = ("key", "token")


def found(params: dict[str, Any], ledger: Ledger) -> dict[str, Any]:
    """What is there, for the controller, which can read YAML: kubeconfigs, and those of earlier runs."""
    told: dict[str, Any] = {}
    paths = [item["path"] for item in params["files"]] if params["state"] == "present" else []
    for path in {**dict.fromkeys(paths), **dict.fromkeys(ledger.names(file_entry.KIND))}:
        there = file_entry.look(path)
        if there and there.kind != "file":
            raise install_record.FileError(f"{path}: a {there.kind}, not a file; name the file itself")
        told[path] = {
            "data": base64.b64encode(there.data).decode() if there else None,
            "before": (ledger.before(file_entry.KIND, path) or {}).get("data"),
            "retargeted": ledger.before(RETARGETED, path),
        }
    return told


def entry(path: str, data: bytes, item: dict[str, Any], ledger: Ledger) -> Entry:
    """A wanted kubeconfig. Who reads one that another tool wrote must still be able to."""
    there = file_entry.look(path)
    if there is None or (
        ledger.owns(file_entry.KIND, path) and "kind" not in (ledger.before(file_entry.KIND, path) or {})
    ):
        mode, owner, group = 0o600, "root", "root"
    else:
        mode, owner, group = there.mode, there.owner, there.group
        if any(item[name] for name in CREDENTIALS):
            mode &= ~0o007
    return Entry(path, "file", data, mode, item["owner"] or owner, item["group"] or group, secret=True)


def plan(params: dict[str, Any], ledger: Ledger) -> list[Change]:
    """Changes to the files: the wanted ones, and those that are wanted no more."""
    modes = {item["path"]: item for item in params["files"]} if params["state"] == "present" else {}
    wanted = []
    for path, content in params["contents"].items():
        data = base64.b64decode(content)
        if path in modes:
            wanted.append(entry(path, data, modes[path], ledger))
        else:
            # It goes back to how it was, but for what others did to it in the meantime.
            before = ledger.before(file_entry.KIND, path)
            wanted.append(Entry(path, "file", data, before["mode"], before["owner"], before["group"], secret=True))
    return file_plan.plan(wanted, file_plan.observe(wanted, ledger), ledger)


def due(run: systemd.Run, names: list[str], ledger: Ledger) -> dict[str, systemd.Unit]:
    """Units that run, and with another connection than the files now give."""
    units = {name: systemd.show(run, name) for name in sorted({*names, *ledger.names(systemd.STALE)})}
    return {
        name: unit
        for name, unit in units.items()
        if unit.active and (name in names or systemd.is_stale(ledger, name, unit))
    }


def carry_out(module: HostModule, changes: list[Change], units: dict[str, systemd.Unit], ledger: Ledger) -> None:
    """Write the files and restart the units; put the files back where one does not come up."""
    run = module.run_command
    for name, unit in units.items():
        # Noted before the first file is written, so that the next run makes up for an interrupted one.
        systemd.mark_stale(ledger, name, unit)
    wanted = {item["path"]: item for item in module.params["files"]} if module.params["state"] == "present" else {}
    for path in wanted.keys() & {change.path for change in changes}:
        ledger.replace(RETARGETED, path, {key: wanted[path][key] for key in NAMES})
    files.apply(changes, ledger, run)
    try:
        for name in units:
            systemd.command(run, "restart", name)
    except systemd.ServiceError as error:
        failures = files.undo(changes, ledger)
        for name in units:
            run(["systemctl", "restart", name])
        if failures:
            raise systemd.ServiceError(f"{error}\nnot taken back: {'; '.join(failures)}") from error
        raise
    systemd.refreshed(ledger)
    for path in [path for path in ledger.names(RETARGETED) if path not in wanted]:
        # It was restored.
        ledger.forget(RETARGETED, path)
        ledger.forget(file_entry.KIND, path)


TEXT = {"type": "str"}
PATH = {"type": "path"}
NAME = {"type": "str", "default": ""}
OPTIONS: dict[str, Any] = {
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "server": {"type": "str", "required": True},
            "authority": TEXT,
            "authority_path": PATH,
            "certificate": TEXT,
            "certificate_path": PATH,
            "key": {"type": "str", "no_log": False},
            "key_path": {"type": "path", "no_log": False},
            "token": {"type": "str", "no_log": True},
            "token_path": {"type": "path", "no_log": False},
            "cluster": NAME,
            "user": NAME,
            "context": NAME,
            "owner": TEXT,
            "group": TEXT,
            "restart": {"type": "list", "elements": "str", "default": []},
        },
        "mutually_exclusive": [
            ("authority", "authority_path"),
            ("certificate", "certificate_path", "token", "token_path"),
            ("key", "key_path"),
        ],
        "required_together": [("certificate", "key"), ("certificate_path", "key_path")],
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "contents": {"type": "dict", "no_log": True},
    "units": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    params = module.params
    with module.reporting("kubeconfig"):
        ledger = install_record.Ledger(OWNER)
        if params["contents"] is None:
            # With the paths as this host understands them.
            paths = [item["path"] for item in params["files"]]
            module.exit_json(changed=False, paths=paths, found=found(params, ledger))
        changes = plan(params, ledger)
        units = due(module.run_command, params["units"], ledger)
        actions = [f"{'' if change.after else 'remove '}file {change.path}" for change in changes]
        actions += [f"restart {name}" for name in units]
        if not module.check_mode:
            carry_out(module, changes, units, ledger)
    module.exit_json(changed=bool(actions), actions=actions, diff=[change.diff() for change in changes])


if __name__ == "__main__":
    main()
