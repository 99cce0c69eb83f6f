# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Why packets from one pod do not reach another, told from what both nodes know and saw.

Rules in the order in which one fault explains the others: a dead daemon explains a missing route, a missing
route explains that nothing leaves. Facts come before sightings, since they are certain. Every cause says on
which node, what is wrong, and a line that a person can paste to mend it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis import drops as diagnosis_drops
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.between_nodes import (
    filtered_echo,
    lost_on_the_way,
    not_taken_out,
    underlay_is_broken,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.cause import Cause
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.filters import (
    firewall_drops,
    forwarding_is_off,
    path_filter_drops,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.packets import (
    checksums_are_wrong,
    packets_are_too_large,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.path import PROTOCOLS, Path
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.pods import pod_is_gone
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._diagnosis.routes import (
    daemon_is_down,
    routes_are_wrong,
)

Rule = Callable[[Path], "Cause | None"]
UNEXPLAINED = "unexplained"


def of_probes(path: Path, alike: Collection[str]) -> dict[str, Cause]:
    """The cause of each failed probe; those are left out of which the evidence tells none.

    ``alike`` are the failed ones that fail between the pods that the evidence is about, too.
    """
    found: dict[str, Cause] = {}
    filtered = filtered_echo(path)
    if filtered:
        found = dict.fromkeys(filtered[1], filtered[0])
    left = tuple(protocol for protocol in path.failed if protocol not in found)
    # Of what fails between a pod and a node alone, or within a node, packets between pods say nothing.
    between_pods = path.source.node != path.target.node and any(one in PROTOCOLS and one in alike for one in left)
    cause = diagnose(dataclasses.replace(path, failed=left), between_pods) if left else None
    told = {**found, **dict.fromkeys(left, cause)} if cause else found
    return with_drops(path, told, [protocol for protocol in left if protocol in alike])


def with_drops(path: Path, told: dict[str, Cause], failed: Sequence[str]) -> dict[str, Cause]:
    """The causes of failed probes with what the kernel was seen to drop, which is the cause where there is none."""
    measured = diagnosis_drops.measured(path.source, path.target, failed)
    missing = diagnosis_drops.unknown(path.source, path.target)
    found = dict(told)
    for protocol, cause in told.items():
        if cause.code == UNEXPLAINED and missing:
            found[protocol] = dataclasses.replace(cause, measured=missing)
    if not measured:
        return found
    kernel, explained, reason = measured
    for protocol in explained:
        rule = told.get(protocol)
        known = rule and rule.code != UNEXPLAINED
        found[protocol] = diagnosis_drops.beside(rule, kernel, reason) if rule and known else kernel
    return found


def diagnose(path: Path, between_pods: bool = True) -> Cause | None:
    """The first cause that the evidence supports; None where it supports none.

    Of what fails between a pod and a node alone, packets between pods say nothing.
    """
    for rule in RULES if between_pods else (pod_is_gone, firewall_drops):
        found = rule(path)
        if found:
            return found
    return None


def last_seen(path: Path) -> Cause | None:
    """Where the packets were last seen, where nothing explains it."""
    for on, start, where in (
        (path.source, path.source, "never left its pod's interface"),
        (path.target, path.source, "never came to"),
    ):
        if not path.seen(on, "in", start) and not path.seen(on, "out", start):
            return Cause(
                UNEXPLAINED,
                on.node,
                f"packets from {path.source.pod} {where if on is path.source else f'{where} {on.node}'}",
                f"tcpdump -ni any host {path.source.pod_address} and host {path.target.pod_address}",
            )
    return None


RULES: tuple[Rule, ...] = (
    pod_is_gone,
    underlay_is_broken,
    routes_are_wrong,
    forwarding_is_off,
    firewall_drops,
    path_filter_drops,
    packets_are_too_large,
    lost_on_the_way,
    checksums_are_wrong,
    not_taken_out,
    daemon_is_down,
    last_seen,
)
