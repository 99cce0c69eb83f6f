# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The state of each probed pair, and what became of it since an earlier report.

A comparison is the dict that ``connectivity.json`` holds as ``compared``::

    {"started": str, "new": [node], "gone": [node],
     "worse": [{"source", "target", "protocol", "family", "before": {"state", "rtt_ms", "mtu"}, "after": {...}}],
     "better": [...]}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe import engine

Probe = Mapping[str, Any]
# The worst of a pair's probes is the pair's own. flaky: answered, but not at the first try. mtu: what is as
# large as the interface allows does not arrive, what is smaller does.
STATES = ("ok", "slow", "flaky", "mtu", "failed")


def classify(pairs: Sequence[MutableMapping[str, Any]]) -> None:
    """Give every probe of a report its ``state``. What is slow is told by the others of its protocol."""
    usual = engine.usual_times((title(probe), probe["rtt_ms"]) for probe in pairs)
    for probe in pairs:
        if not probe["ok"]:
            probe["state"] = "mtu" if probe["protocol"] == "mtu" and probe["mtu"] else "failed"
        elif probe.get("tries", 1) > 1:
            probe["state"] = "flaky"
        else:
            probe["state"] = "slow" if engine.slower(probe["rtt_ms"], usual[title(probe)]) else "ok"


def worst(probes: Iterable[Probe]) -> str:
    """The state of a pair."""
    return max((probe["state"] for probe in probes), key=STATES.index, default="ok")


def milliseconds(time: float) -> str:
    """A time of the network, in as many digits as tell something."""
    return f"{time:.2f} ms" if time < 10 else f"{time:.0f} ms"


def title(probe: Probe) -> str:
    """What it was probed with: the protocol, and with IPv6 a 6 behind it. Earlier reports are of IPv4."""
    return f"{probe['protocol']}6" if probe.get("family", 4) == 6 else str(probe["protocol"])


def measure(probe: Probe) -> str:
    """What a probe found, in words."""
    if probe["state"] == "failed":
        return "failed"
    found = [probe["state"]] if probe["state"] in ("slow", "flaky") else []
    if probe["rtt_ms"] is not None:
        found.append(milliseconds(probe["rtt_ms"]))
    if probe["mtu"]:
        found.append(f"{probe['mtu']} bytes")
    return " ".join(found) or "ok"


def read(path: Path) -> dict[str, Any]:
    """What of an earlier report is compared.

    :raises ValueError: there is none; says what would be right.
    """
    wanted = "give the connectivity.json of an earlier verification"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        earlier = {key: report[key] for key in ("started", "nodes", "pairs")}
        classify(earlier["pairs"])
    except OSError as error:
        raise ValueError(f"{(error.strerror or 'cannot be read').lower()}; {wanted}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not a report; {wanted}") from error
    return earlier


def compare(earlier: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """What got worse and what got better. Only what both reports probed can be compared."""
    before = {_key(probe): probe for probe in earlier["pairs"]}
    names = [node["name"] for node in report["nodes"]]
    known = [node["name"] for node in earlier["nodes"]]
    compared: dict[str, Any] = {
        "started": earlier["started"],
        "new": [name for name in names if name not in known],
        "gone": [name for name in known if name not in names],
        "worse": [],
        "better": [],
    }
    for probe in report["pairs"]:
        old = before.get(_key(probe))
        change = _change(old, probe) if old else ""
        if old and change:
            compared[change].append(
                {
                    **{key: probe[key] for key in ("source", "target", "protocol", "family")},
                    "before": {key: old[key] for key in ("state", "rtt_ms", "mtu")},
                    "after": {key: probe[key] for key in ("state", "rtt_ms", "mtu")},
                }
            )
    return compared


def changes(compared: Mapping[str, Any]) -> Iterator[str]:
    """A comparison in words: a heading, and a line for every pair and way it changed."""
    yield f"since {compared['started']}: {len(compared['worse'])} worse, {len(compared['better'])} better"
    for what in ("gone", "new"):
        if compared[what]:
            yield f"{what}: {', '.join(compared[what])}"
    for what in ("worse", "better"):
        grouped: dict[tuple[str, str], list[str]] = {}
        for change in compared[what]:
            told = f"{title(change)} {measure(change['before'])} -> {measure(change['after'])}"
            grouped.setdefault((change["source"], change["target"]), []).append(told)
        for (source, target), found in grouped.items():
            yield f"{what}: {source} -> {target}: {', '.join(found)}"


def _key(probe: Probe) -> tuple[str, str, str]:
    return probe["source"], probe["target"], title(probe)


def _change(old: Probe, new: Probe) -> str:
    """``worse``, ``better``, or nothing: by state, then by MTU, then by a time that is of another order.

    What is slow depends on the others of a report, so two reports are compared by their times.
    """
    was, now = (STATES.index("ok" if probe["state"] == "slow" else probe["state"]) for probe in (old, new))
    if was != now:
        return "worse" if now > was else "better"
    if old["mtu"] and new["mtu"] and old["mtu"] != new["mtu"]:
        return "worse" if new["mtu"] < old["mtu"] else "better"
    if engine.slower(new["rtt_ms"], old["rtt_ms"]):
        return "worse"
    return "better" if engine.slower(old["rtt_ms"], new["rtt_ms"]) else ""
