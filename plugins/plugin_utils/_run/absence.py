# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Why a host has no part in a run, from the results of its tasks: whether Ansible reached it at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Of a connection that works and gives no privileges, which Ansible counts as a task that failed.
NO_BECOME = re.compile(
    r"(Missing|Incorrect) \w+ password|waiting for (become success|privilege escalation)|a password is required"
)


@dataclass(frozen=True)
class Absence:
    """Why a host is missing. Where Ansible did not reach it, nothing is known of it, nor would ``site`` reach it."""

    reason: str
    unreachable: bool = False

    def __str__(self) -> str:
        return f"unreachable by Ansible: {self.reason}" if self.unreachable else self.reason


def absence(*results: Mapping[str, Any]) -> Absence:
    """Why a host did not come to the end of its tasks, from their results in their order."""
    failed = next((found for found in results if found.get("failed") or found.get("unreachable")), None)
    if not failed:
        return Absence("it was not reached")
    why = str(failed["msg"]).removeprefix("Task failed: ").removeprefix("Module failed: ")
    if failed.get("unreachable") or NO_BECOME.search(why):
        return Absence(first_line(why), unreachable=True)
    return Absence(why)


def remedy(host: str) -> str:
    """What a host needs that Ansible does not reach."""
    return f'Advice: have "ansible {host} --become -m ansible.builtin.ping" succeed: address, SSH, sudo'


def first_line(text: str) -> str:
    """The first line that says something; one that ends with a colon only announces the next."""
    first, *more = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason"]
    return f"{first} {more[0]}" if more and first.endswith(":") else first
