# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Packets of pods that wait for the MAC of a neighbour that does not answer.

The kernel drops them after seconds, in a timer and at once, which no trace of a moment sees; its tables tell it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

Run = Callable[..., "tuple[int, str, str]"]
UNANSWERED = frozenset({"INCOMPLETE", "FAILED"})


def unanswered(run: Run, namespace: str = "") -> dict[str, str]:
    """Device by address of the neighbours that do not answer, of the host or of a namespace."""
    within = ["-n", namespace] if namespace else []
    entries = _json(run, [*within, "neighbour", "show"])
    return {one["dst"]: one["dev"] for one in entries if UNANSWERED.intersection(one.get("state", ()))}


def gateways(run: Run, namespace: str) -> set[str]:
    """Routers that the default routes of a namespace lead to."""
    found = [_json(run, [f"-{family}", "-n", namespace, "route", "show", "default"]) for family in (4, 6)]
    return {route["gateway"] for routes in found for route in routes if "gateway" in route}


def _json(run: Run, words: list[str]) -> list[dict[str, Any]]:
    code, out, _err = run(["ip", "-json", *words])
    return list(json.loads(out or "[]")) if code == 0 else []


def waiting(
    run: Run, pod: str, own: str, others: Iterable[str], routes: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    """Which packets from and to the pod's own address wait for whom: a source, a target and the neighbour."""
    outside, inside = unanswered(run), unanswered(run, pod)
    silent = inside.keys() & gateways(run, pod) if inside else set()
    for other in others:
        route = routes.get(other, {})
        hop = route.get("gateway") or other
        for gateway in sorted(silent):
            yield {"source": own, "target": other, "neighbour": gateway, "interface": inside[gateway], "in_pod": True}
        if hop in outside and outside[hop] == route.get("dev"):
            yield {"source": own, "target": other, "neighbour": hop, "interface": outside[hop], "in_pod": False}
        if own in outside:
            yield {"source": other, "target": own, "neighbour": own, "interface": outside[own], "in_pod": False}
