# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Variables of hosts as the roles of a play see them: of the inventory, of the play, and of the command line.

``hostvars`` are without those that a play, its vars_files, or an import_playbook sets. What a role has as its own
default nobody has set, and is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.playbook.task import Task


class RunVariables:
    """Variables of the hosts of a run, read in a task's place: with the variables of its play, blocks and role."""

    def __init__(self, task: Task, task_vars: Mapping[str, Any], templar: Any) -> None:
        self._task = task
        self._task_vars = task_vars
        self._hostvars = task_vars["hostvars"]
        self._templar = templar
        # Roles that a play imports show it their defaults and variables, which nobody has set.
        self._play = task.get_play().copy()
        self._play.roles = []
        self._defaults = task._role.get_default_vars(dep_chain=task.get_dep_chain()) if task._role else {}
        self._raw: dict[str, dict[str, Any]] = {}

    def raw(self, host: str) -> dict[str, Any]:
        """All variables of a host, as they were written: templates in them are templates. Read once."""
        if host not in self._raw:
            self._raw[host] = self._read(host)
        return self._raw[host]

    def _read(self, host: str) -> dict[str, Any]:
        found: dict[str, Any] = self._hostvars._variable_manager.get_vars(
            play=self._play,
            host=self._hostvars._inventory.get_host(host),
            task=self._task,
            include_hostvars=False,
            _hosts=self._task_vars["ansible_play_batch"],
            _hosts_all=self._task_vars["ansible_play_hosts_all"],
        )
        return {**found, "hostvars": self._hostvars}

    def given(self, host: str, wanted: Callable[[str], bool]) -> tuple[dict[str, Any], dict[str, str]]:
        """Values of those variables of a host that were set and are wanted, and why others cannot be rendered."""
        raw = self.raw(host)
        templar = self._templar.copy_with_new_env(available_variables=raw)
        found, failed = {}, {}
        for name in raw:
            if not wanted(name) or (name in self._defaults and raw[name] == self._defaults[name]):
                continue
            try:
                found[name] = templar.template(raw[name])
            except AnsibleError as error:
                failed[name] = str(error)
        return found, failed
