#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon
short_description: A systemd daemon with its account, directories, files and unit, in one call
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Brings all that makes a daemon to the wanted state in one pass over the host, where separate
    tasks for account, directories, each file, unit and service would cost a round trip each.
  - The unit carries the digest of its configuration, so a restart that is due is found by comparing
    it with the digest the running process was started with. A run that was interrupted before the
    restart is completed by the next one.
  - All of it is noted in a ledger on the host. O(state=absent) needs only the name, and gives back
    what stood there before. Files of an earlier configuration that are no longer wanted go too.
  - A directory with something in it is removed by O(state=absent) only. One that is no longer wanted is left, with
    a warning. Where the daemon has its data in one and is to begin without any in another, the module refuses.
  - A wanted directory may be a symbolic link to a directory, or a mount point. It is kept, also by O(state=absent).
  - A unit without options in its section C([Install]) is started and not enabled, with a warning. A name that is
    masked, an alias of another unit, or read from a place that counts before C(/etc/systemd/system), is refused.
  - What is in the way of a file or directory and is of another kind, such as a directory with something in it where
    a file is wanted, is refused before anything is changed.
  - O(state=absent) removes all that can be removed, and fails with the rest, which the next run tries again.
  - If the daemon does not come up, files, unit and service are put back as they were, and the
    message has the daemon's last log lines.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
attributes:
  action:
    description: Has an action plugin of the same name, which reads O(files[].src) on the controller.
    support: full
options:
  name:
    description: Name of the unit, without V(.service) or V(.timer), and of the ledger.
    type: str
    required: true
  kind:
    description:
      - V(timer) has O(unit) started by time. The unit that it starts is one of O(files), and O(name) has no suffix
        either.
    type: str
    choices: [service, timer]
    default: service
  state:
    description:
      - V(started) means installed, enabled and running with exactly this configuration.
      - V(installed) does not start, restart or reload; RV(restart_required) and RV(reload_required) say
        whether that is due.
      - V(absent) takes away all that was put here under this name.
    type: str
    choices: [started, installed, absent]
    default: started
  account:
    description: System account (and group of the same name) that the daemon runs as. Unset means root.
    type: dict
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      home:
        description: Home directory. It is not created.
        type: path
        default: /nonexistent
  directories:
    description: Directories of the daemon.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      mode:
        description: Permissions, as an octal string.
        type: str
        default: "0755"
      owner:
        description: Owning account.
        type: str
        default: root
      group:
        description: Owning group.
        type: str
        default: root
      purge:
        description:
          - Whether the directory holds what the daemon itself writes, such as the data of a database, and
            O(state=absent) removes that.
          - A directory that was made by this module goes with all in it. Of one that was there before, what was in it
            stays, and what is not the daemon's account's. What is mounted in either stays.
        type: bool
        default: false
  files:
    description: Files of the daemon. A change in one is a reason to restart or to reload it, by O(files[].needs).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      content:
        description: What the file holds. Shown by C(--diff).
        type: str
      src:
        description:
          - File on the controller to take the content from. It is treated as a secret. In check mode it
            may not exist yet.
        type: path
      mode:
        description: Permissions, as an octal string.
        type: str
        default: "0644"
      owner:
        description: Owning account.
        type: str
        default: root
      group:
        description: Owning group.
        type: str
        default: root
      secret:
        description: Whether O(files[].content) is not to be shown. What comes from O(files[].src) never is.
        type: bool
        default: false
      validate:
        description: Command that must accept the new content before it replaces the old. C(%s) is the file.
        type: str
      needs:
        description:
          - What a daemon that runs needs to take a new content. V(reload) is C(systemctl reload), and V(nothing) is
            for files that others read.
        type: str
        choices: [restart, reload, nothing]
        default: restart
  secrets:
    description: Content of the files that have O(files[].src), by path, in base64. The action plugin sets it.
    type: dict
    default: {}
  unit:
    description: Content of the unit file. Required unless O(state=absent).
    type: str
  restart_on:
    description:
      - Further paths whose change is a reason to restart, such as the link to the daemon's binary.
    type: list
    elements: path
    default: []
  defer_restart:
    description:
      - With O(state=started), whether a restart that a running process needs is left undone and returned in RV(due), so
        that it can be done in batches. One that does not run is started, and a reload is done.
    type: bool
    default: false
  members:
    description:
      - All hosts that have this daemon, with their addresses. They are kept in the install record, where a later run
        finds which of them the inventory no longer has.
    type: dict
    default: {}
  trial:
    description:
      - For a daemon that has no checker. Before new files replace old ones, it is started on them for a
        moment, as its account, in an empty network namespace, where it disturbs nobody.
    type: dict
    suboptions:
      command:
        description:
          - Command with its arguments. Names of files in it, and in the files, are relative to O(trial.directory).
        type: list
        elements: str
        required: true
      directory:
        description: Directory that the daemon runs in. In the trial it is one that holds the new files.
        type: path
        required: true
      ready:
        description: Regular expression for the line with which the daemon says that it has accepted the files.
        type: str
        required: true
      addresses:
        description: Addresses that the daemon binds.
        type: list
        elements: str
        default: []
"""

EXAMPLES = r"""
---
- name: Install etcd, and report whether a restart is due
  binary_cluster.networking.daemon:
    name: etcd
    state: installed
    account:
      name: etcd
      home: /var/lib/etcd
    directories:
      - path: /var/lib/etcd
        mode: "0700"
        owner: etcd
        group: etcd
        purge: true
    files:
      - path: /etc/etcd/etcd.env
        content: "{{ lookup('ansible.builtin.template', 'etcd.env.j2') }}"
    unit: "{{ lookup('ansible.builtin.template', 'etcd.service.j2') }}"
    restart_on:
      - /usr/local/bin/etcd

- name: Remove etcd with its data, and restore the host as it was before
  binary_cluster.networking.daemon:
    name: etcd
    state: absent
"""

RETURN = r"""
due:
  description: What is left undone, V(restart) or empty.
  returned: O(state=started)
  type: str
  sample: ""
actions:
  description: What was done, or would be done in check mode, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["file /etc/etcd/etcd.env", "restart etcd"]
restart_required:
  description: Whether the running process is not the one this configuration describes.
  returned: O(state=installed)
  type: bool
reload_required:
  description: Whether the running process has yet to read a file with O(files[].needs=reload), and no restart is due.
  returned: O(state=installed)
  type: bool
"""

from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    accounts,
    applied,
    daemon_plan,
    dry_run,
    file_entry,
    file_plan,
    files as host_files,
    install_record,
    systemd,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.daemon_plan import (
    Plan,
    entries,
    full_name,
    plan,
    refuse_move,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError


class Unfinished(TaskError):
    """Something of a daemon could not be removed; the message says what, and why. The rest is removed."""


def installable(module: HostModule, ledger: Ledger, unit: systemd.Unit) -> systemd.Unit:
    """The unit as it can be installed, with a warning where it is not enabled. Raises ServiceError where it cannot."""
    reason = systemd.not_replaceable(unit)
    if reason and not (unit.alias_of and ledger.owns(file_entry.KIND, f"{daemon_plan.UNIT_DIRECTORY}/{unit.name}")):
        raise systemd.ServiceError(f"{reason}. Nothing was changed")
    text = module.params["unit"]
    if not any(systemd.installs(text).values()):
        module.warn(
            f"{unit.name}: the unit has nothing in section [Install], so it is not enabled and does not start at boot "
            "by itself. Unless another unit starts it, add WantedBy=multi-user.target to [Install]."
        )
    return systemd.with_install(module.run_command, unit, text)


def install(module: HostModule, made: Plan, wanted: list[Entry], ledger: Ledger, unit: systemd.Unit) -> None:
    """Carry out a plan that installs; undo it where the daemon does not come up."""
    run, name = module.run_command, full_name(module.params)
    if made.account:
        accounts.make(run, ledger, made.account, module.params["account"]["home"])
    if module.params["trial"] and made.files:
        account = module.params["account"]["name"]
        dry_run.check(dry_run.Trial(**module.params["trial"], account=account), wanted, iproute.IpRoute(run))
    if unit.active:
        for operation in made.stale:
            systemd.mark_stale(ledger, operation, unit)
    host_files.apply(made.files, ledger, run)
    try:
        if made.files or unit.needs_reload:
            systemd.command(run, "daemon-reload")
        if made.enable:
            systemd.command(run, "enable", "--quiet", name)
        if made.operation:
            systemd.command(run, made.operation, name)
            systemd.refreshed(ledger)
    except systemd.ServiceError as error:
        failures = host_files.undo(made.files, ledger)
        run(["systemctl", "daemon-reload"])
        if made.operation:
            run(["systemctl", made.operation if unit.active else "stop", name])
        if failures:
            raise systemd.ServiceError(f"{error}\nnot taken back: {'; '.join(failures)}") from error
        raise


def remove(module: HostModule, made: Plan, ledger: Ledger) -> None:
    """Carry out a plan that removes: all that can be, whatever fails on the way. Raises Unfinished for the rest."""
    run, name = module.run_command, full_name(module.params)
    failures = []
    if made.operation:
        try:
            systemd.command(run, "disable", "--quiet", "--now", name)
        except systemd.ServiceError as error:
            failures.append(str(error))
    started = f"{module.params['name']}.service"  # what a timer started may run, or have failed
    if started != name:
        run(["systemctl", "stop", started])
    if systemd.show(run, name).running:
        # Its files are not taken from under it.
        raise Unfinished("; ".join([*failures, f"{name} still runs; stop it by hand and run again"]))
    # Planned once more: the daemon may have written until it ended.
    failures += host_files.withdraw(host_files.release(ledger), ledger)
    run(["systemctl", "daemon-reload"])
    for unit in sorted({name, started}):
        run(["systemctl", "reset-failed", unit])
    systemd.refreshed(ledger)
    if made.account:
        try:
            reason = accounts.remove(run, ledger, made.account)
        except accounts.AccountError as error:
            failures.append(str(error))
        else:
            module.warn(reason) if reason else None
    if failures:
        raise Unfinished("; ".join(failures))


OPTIONS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": ["service", "timer"], "default": "service"},
    "state": {
        "type": "str",
        "choices": ["started", "installed", "absent"],
        "default": "started",
    },
    "account": {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "home": {"type": "path", "default": "/nonexistent"},
        },
    },
    "directories": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "mode": {"type": "str", "default": "0755"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "purge": {"type": "bool", "default": False},
        },
    },
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str"},
            "src": {"type": "path"},
            "mode": {"type": "str", "default": "0644"},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
            "secret": {"type": "bool", "default": False},
            "validate": {"type": "str"},
            "needs": {"type": "str", "choices": ["restart", "reload", "nothing"], "default": "restart"},
        },
        "mutually_exclusive": [("content", "src")],
        "required_one_of": [("content", "src")],
    },
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "unit": {"type": "str"},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "defer_restart": {"type": "bool", "default": False},
    "members": {"type": "dict", "default": {}},
    "trial": {
        "type": "dict",
        "options": {
            "command": {"type": "list", "elements": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "ready": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "default": []},
        },
    },
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        required_by={"trial": ["account"]},
        required_if=[("state", "started", ["unit"]), ("state", "installed", ["unit"])],
        supports_check_mode=True,
    )
    params = module.params
    absent = params["state"] == "absent"
    with module.reporting(params["name"]):
        ledger = install_record.Ledger(params["name"])
        unit = systemd.show(module.run_command, full_name(params))
        if not absent:
            unit = installable(module, ledger, unit)
        wanted = [] if absent else entries(params, module.check_mode)
        all_wanted = [] if absent else [*wanted, Entry(f"{daemon_plan.UNIT_DIRECTORY}/{full_name(params)}")]
        seen = file_plan.observe(all_wanted, ledger)
        running = systemd.running_digest(unit.main_pid) if unit.active else None
        refuse_move(wanted, seen, ledger)
        made = plan(params, wanted, seen, ledger, unit, running)
        actions = made.actions(params["name"], removing=absent)
        for reason in file_plan.left(all_wanted, seen, ledger, uninstall=absent):
            module.warn(reason)
        if not module.check_mode and absent and (actions or ledger.entries):
            remove(module, made, ledger)
        elif not module.check_mode and not absent:
            if actions:
                install(module, made, wanted, ledger, unit)
            host_files.settle(all_wanted, seen, ledger)
        if not module.check_mode:
            applied.note(ledger, applied.MEMBERS, {} if absent else params["members"])
    result: dict[str, Any] = {"changed": bool(actions), "actions": actions}
    if params["state"] == "started":
        result["due"] = made.due
    if params["state"] == "installed":
        result["restart_required"] = made.restart_required
        result["reload_required"] = made.reload_required
    module.exit_json(diff=[change.diff() for change in made.files], **result)


if __name__ == "__main__":
    main()
