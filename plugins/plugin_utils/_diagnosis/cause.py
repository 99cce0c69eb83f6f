# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What a diagnosis looks at, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cause:
    """What is wrong, on which node, and a command that mends it."""

    code: str
    node: str
    text: str
    fix: str
    # What the kernel was seen to do. It may differ from pair to pair, and the cause is one.
    measured: str = field(default="", compare=False)

    @property
    def full_text(self) -> str:
        """What is wrong, and what was measured of it."""
        return f"{self.text} ({self.measured})" if self.measured else self.text

    def __str__(self) -> str:
        return f"{self.full_text} [on {self.node}: {self.fix}]"


@dataclass(frozen=True)
class End:
    """One end of a pair: a node, its probe pod and what the node knows and saw."""

    node: str
    address: str
    pod: str
    pod_address: str
    subnet: str
    evidence: Mapping[str, Any]


def rebuild_command(end: End) -> str:
    """The command that makes the entries of a node again."""
    if any(unit["name"] == "flanneld" for unit in end.evidence.get("units", ())):
        return "systemctl restart flanneld"
    return site_command(end.node)


def site_command(node: str) -> str:
    return f"ansible-playbook binary_cluster.networking.site --limit {node}"
