# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: whole_run
short_description: Refuse a run without the tasks that others rely on
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Passes on the hosts of a play, unless options of C(ansible-playbook) leave out the checks before the first change,
    or what later tasks need of earlier ones. These are C(--start-at-task), C(--step), and C(--skip-tags) with the
    tags of the checks.
  - Ansible evaluates the hosts of a play even where it leaves out all its tasks, so the run ends there.
positional: checks
options:
  _input:
    description: Hosts of the first play of a playbook.
    type: str
    required: true
  checks:
    description: Tags of the playbook's checks.
    type: list
    elements: str
    default: [always]
"""

EXAMPLES = r"""
---
- name: Check all hosts
  hosts: "{{ 'all' | binary_cluster.networking.whole_run(['preflight', 'always']) }}"
  gather_facts: false
  tasks:
    - name: Check that hosts answer
      ansible.builtin.ping:
"""

RETURN = r"""
_value:
  description: The hosts.
  type: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible import context
from ansible.errors import AnsibleFilterError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations

REMEDY = "Nothing was changed. Run the playbook without it; what is done already is left as it is"


def left_out(options: Mapping[str, Any], checks: Sequence[str]) -> str:
    """What options of ansible-playbook leave out, with the remedy; empty where it is nothing that others rely on."""
    if options.get("start_at_task"):
        return (
            f"--start-at-task {options['start_at_task']!r}: it leaves out the checks before the first change, and what "
            f"later tasks need of earlier ones. {REMEDY}. Choose parts of it with --tags."
        )
    if options.get("step"):
        return (
            f"--step: it lets you leave out checks, and what later tasks need of earlier ones. {REMEDY}. "
            "Preview it with --check --diff, and choose parts of it with --tags."
        )
    # Of Ansible's own names of tags, `tagged` leaves out the checks too; `all` does not.
    skipped = [tag for tag in (*checks, "tagged") if tag in options.get("skip_tags", ())]
    if skipped:
        return f"--skip-tags {','.join(skipped)}: it leaves out the checks before the first change. {REMEDY}."
    return ""


def whole_run(hosts: str, checks: Sequence[str] = ("always",)) -> str:
    """The hosts. Raises AnsibleFilterError where options of the run leave out what others rely on."""
    # Hosts of a play are told before Ansible forks its workers: what is read here, none of them has to read again.
    declarations.declared()
    if fault := left_out(context.CLIARGS, checks):
        raise AnsibleFilterError(fault)
    return hosts


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"whole_run": whole_run}
