# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measure the clock of a host by the round trip of the module that collects its facts."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.host_facts)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        sent, started = time.time(), time.monotonic()
        found = dict(self._execute_module(task_vars=task_vars))
        # Not time.time() again: the controller's clock may be set meanwhile.
        received = sent + time.monotonic() - started
        if clock := found.pop("clock", None):
            facts = found["ansible_facts"]["cluster_host"]
            # A fact cache would have later runs take them for theirs.
            facts[run_facts.RUN] = run_facts.this_run()
            facts["clock_skew"], facts["clock_error"] = clock_skew(sent, received, **clock)
        result.update(found)
        return result


def clock_skew(sent: float, received: float, began: float, ended: float) -> tuple[float, float]:
    """Seconds a host's clock is ahead of the controller's, and by how much that can be wrong (as in RFC 5905).

    ``sent`` and ``received`` are of the controller's clock; ``began`` and ``ended`` of the host's, of the process that
    ran in between. How the rest of the time is shared between the way there and the way back, nobody knows: all of it
    may have been one of them.
    """
    most, least = began - sent, ended - received
    return (most + least) / 2, max(0.0, (most - least) / 2)
