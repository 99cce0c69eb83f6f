#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_kernel
short_description: Kernel modules and sysctls of a node, set, persisted and given back
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Loads modules and sets sysctls, all in one call, now and for every boot.
  - A module that is built into the kernel counts as loaded when the path it provides is there.
  - The first value found of each sysctl is noted. O(state=absent) writes it back, unless somebody has
    changed the value since, or the kernel does not have it any more.
  - A module that was not in the kernel before leaves it again when it is no longer wanted, unless another file in
    C(/etc/modules-load.d) asks for it.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
options:
  name:
    description: Name of the files in C(/etc/sysctl.d) and C(/etc/modules-load.d), and of the ledger.
    type: str
    required: true
  modules:
    description: Kernel modules, with a path under C(/proc) or C(/sys) that exists once it is there.
    type: dict
    default: {}
  sysctls:
    description: Values by name.
    type: dict
    default: {}
  unmanaged:
    description:
      - Interfaces that systemd-networkd and NetworkManager are to leave alone, as names in which C(*), C(?) and
        C([0-9]) are patterns. Drop-in files are written for each of the two that runs or is enabled.
        systemd-networkd is also set to keep foreign routes (C(ManageForeignRoutes=no)).
      - The files take effect at the next start of each. This module restarts neither.
    type: list
    elements: str
    default: []
  state:
    description: Whether the settings are there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
---
- name: Configure kernel modules and sysctls
  binary_cluster.networking.node_kernel:
    name: binary-cluster-node
    modules:
      br_netfilter: /proc/sys/net/bridge
    sysctls:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
    unmanaged: [cni0, "flannel*"]

- name: Restore kernel settings
  binary_cluster.networking.node_kernel:
    name: binary-cluster-node
    state: absent
"""

RETURN = r"""
sysctls:
  description: Sysctls that were changed, with the value before and after.
  returned: always
  type: dict
  sample:
    net.ipv4.ip_forward: ["0", "1"]
modules:
  description: Modules that were loaded.
  returned: always
  type: list
  elements: str
"""

import os
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_plan,
    files as host_files,
    install_record,
    kernel_modules,
    network_managers,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

SYSCTLS = "sysctls"


class KernelError(TaskError):
    """The kernel does not have or take a setting; the message says which."""


def path_of(name: str) -> str:
    """Path of a sysctl. A dot inside an interface's name is written as a slash, as sysctl(8) does."""
    return "/proc/sys/" + name.replace(".", "\0").replace("/", ".").replace("\0", "/")


def read(name: str) -> str:
    """Current value of a sysctl."""
    try:
        with open(path_of(name), encoding="ascii") as stream:
            return " ".join(stream.read().split())
    except OSError as error:
        raise KernelError(f"sysctl {name}: {error.strerror}: {path_of(name)}") from error


def write(name: str, value: str) -> None:
    """Set a sysctl."""
    try:
        with open(path_of(name), "w", encoding="ascii") as stream:
            stream.write(value)
    except OSError as error:
        raise KernelError(
            f"sysctl {name}: the kernel refuses {value}: {error.strerror}. In a container, /proc/sys must be writable."
        ) from error


def load(module: HostModule, name: str, provides: str) -> None:
    """Load a kernel module."""
    code, out, err = module.run_command(["modprobe", name])
    if code != 0 or not os.path.exists(provides):
        raise KernelError(f"kernel module {name}: it is not built in, and cannot be loaded: {(err or out).strip()}")


def entries(name: str, modules: dict[str, str], sysctls: dict[str, str]) -> list[file_entry.Entry]:
    """The files that make the settings last."""
    wanted = []
    if modules:
        lines = "".join(f"{module}\n" for module in modules)
        wanted.append(file_entry.Entry(f"/etc/modules-load.d/{name}.conf", data=lines.encode()))
    if sysctls:
        lines = "".join(f"{key} = {value}\n" for key, value in sysctls.items())
        wanted.append(file_entry.Entry(f"/etc/sysctl.d/90-{name}.conf", data=lines.encode()))
    return wanted


def plan(wanted: dict[str, str], current: dict[str, str], noted: dict[str, list[str]]) -> dict[str, tuple[str, str]]:
    """Sysctls to write, as ``{name: (before, after)}``.

    ``noted`` holds ``[first value found, value we set]`` of those set earlier: those no longer
    wanted get their first value back, unless somebody else has changed them since, or the kernel has them no more.
    """
    changes = {name: (current[name], value) for name, value in wanted.items() if current[name] != value}
    for name, (first, ours) in noted.items():
        if name not in wanted and current.get(name) == ours != first:
            changes[name] = (ours, first)
    return changes


def there(name: str) -> bool:
    """Whether the kernel has a sysctl: one of a module or link goes with that."""
    return os.path.exists(path_of(name))


def give_back(module: HostModule, ledger: Ledger, changes: dict[str, tuple[str, str]]) -> list[str]:
    """Write back sysctls that are no longer wanted, and forget them; return what could not be written."""
    failures = []
    for key, (_ours, first) in changes.items():
        try:
            write(key, first)
        except KernelError as error:
            failures.append((key, str(error)))
    ledger.forget(SYSCTLS, *(key for key in ledger.names(SYSCTLS) if key not in dict(failures)))
    return [message for _key, message in failures]


def remove(module: HostModule, ledger: Ledger) -> dict[str, Any]:
    """Give back all that was set under this name: whatever can be, also where something cannot."""
    noted = {key: ledger.before(SYSCTLS, key) for key in ledger.names(SYSCTLS)}
    files = host_files.release(ledger)
    leaving = kernel_modules.noted(ledger)
    changes = plan({}, {key: read(key) for key in noted if there(key)}, noted)
    if not module.check_mode:
        for key in noted:
            if not there(key):
                module.warn(f"sysctl {key} is not given back: the kernel has no such setting any more")
        failures = [*give_back(module, ledger, changes), *host_files.withdraw(files, ledger)]
        if leaving:
            links = iproute.IpRoute(module.run_command).links()
            kernel_modules.release(module.run_command, ledger, leaving, links)
        if failures:
            raise KernelError("; ".join(failures))
    return result_of(changes, {}, bool(leaving), files)


def install(module: HostModule, ledger: Ledger) -> dict[str, Any]:
    """Load the modules and set the sysctls."""
    name, modules = module.params["name"], module.params["modules"]
    wanted = {key: str(value) for key, value in module.params["sysctls"].items()}
    noted = {key: ledger.before(SYSCTLS, key) for key in ledger.names(SYSCTLS)}
    files = entries(name, modules, wanted)
    files += network_managers.entries(module.run_command, name, module.params["unmanaged"])
    changed_files = file_plan.plan(files, file_plan.observe(files, ledger), ledger)
    missing = {key: provides for key, provides in modules.items() if not os.path.exists(provides)}
    leaving = [key for key in kernel_modules.noted(ledger) if key not in modules]
    former = [key for key in noted if key not in wanted and there(key)]
    if missing and not module.check_mode:
        for key, provides in missing.items():
            kernel_modules.note(ledger, key)
            load(module, key, provides)
    # In check mode the sysctls of a module yet to be loaded are not there.
    current = {key: "" if missing and module.check_mode and not there(key) else read(key) for key in [*wanted, *former]}
    changes = plan(wanted, current, noted)
    if not module.check_mode:
        for key, (before, after) in changes.items():
            if key in wanted:
                # In one write: the value that was found first is never lost.
                ledger.replace(SYSCTLS, key, [noted[key][0] if key in noted else before, after])
                write(key, after)
        host_files.apply(changed_files, ledger, module.run_command)
        for key in noted:
            if key not in wanted:
                if key in changes:
                    write(key, changes[key][1])
                ledger.forget(SYSCTLS, key)
        if leaving:
            links = iproute.IpRoute(module.run_command).links()
            kernel_modules.release(module.run_command, ledger, leaving, links)
    return result_of(changes, missing, bool(leaving), changed_files)


def result_of(
    changes: dict[str, tuple[str, str]], missing: dict[str, str], leaving: bool, files: list[file_entry.Change]
) -> dict[str, Any]:
    """The module's result."""
    return {
        "changed": bool(changes or missing or leaving or files),
        "sysctls": {key: list(values) for key, values in changes.items()},
        "modules": list(missing),
        "diff": [
            {"before_header": key, "after_header": key, "before": f"{before}\n", "after": f"{after}\n"}
            for key, (before, after) in changes.items()
        ]
        + [change.diff() for change in files],
    }


def main() -> None:
    module = HostModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "modules": {"type": "dict", "default": {}},
            "sysctls": {"type": "dict", "default": {}},
            "unmanaged": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with module.reporting(module.params["name"]):
        ledger = install_record.Ledger(module.params["name"])
        result = install(module, ledger) if module.params["state"] == "present" else remove(module, ledger)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
