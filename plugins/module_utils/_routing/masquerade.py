# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The way out of the cluster for pods: a table of nftables that masquerades what leaves it.

Packets of pods to the cluster's own networks keep their source; all others get the address of
the interface they leave through.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._plan import validation

FAMILIES = {4: ("ip", "ipv4_addr"), 6: ("ip6", "ipv6_addr")}
CHAIN = "postrouting"
TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
# As `srcnat`, by number: nft prints names only where it knows them.
PRIORITY = 100


@dataclass(frozen=True)
class Masquerade:
    """The table. ``foreign`` is the script of one that somebody has changed, as it was found."""

    table: str
    pods: tuple[str, ...]
    networks: tuple[str, ...]
    foreign: str = ""

    program = "nft"

    def put(self, before: Masquerade | None) -> list[str]:
        # Declared first, so that there is one to delete; all in one transaction.
        return [f"table inet {self.table}\ndelete table inet {self.table}\n{self.script()}"]

    def drop(self) -> list[str]:
        return [f"delete table inet {self.table}"]

    def text(self) -> str:
        return self.script().rstrip("\n")

    def script(self) -> str:
        """The table as nft takes it."""
        if self.foreign:
            return self.foreign
        lines = [f"table inet {self.table} {{"]
        for name, (_word, kind), members in self._sets():
            lines += [f"\tset {name} {{", f"\t\ttype {kind}", "\t\tflags interval"]
            lines += [f"\t\telements = {{ {', '.join(members)} }}", "\t}"]
        lines += [f"\tchain {CHAIN} {{", f"\t\ttype nat hook {CHAIN} priority {PRIORITY}; policy accept;"]
        for version, (word, _kind) in self._versions():
            lines.append(f"\t\t{word} saddr @pods{version} {word} daddr @networks{version} return")
            lines.append(f"\t\t{word} saddr @pods{version} masquerade fully-random")
        return "\n".join([*lines, "\t}", "}"]) + "\n"

    def entries(self) -> list[Any]:
        """The table as nft's JSON tells it, in the form of :func:`plain`."""
        entries: list[Any] = []
        for name, (_word, kind), members in self._sets():
            entries.append(("set", name, kind, ["interval"], sorted(members)))
        entries.append(("chain", CHAIN, "nat", CHAIN, PRIORITY, "accept"))
        for version, (word, _kind) in self._versions():
            source = _matched(word, "saddr", f"@pods{version}")
            kept = _matched(word, "daddr", f"@networks{version}")
            entries.append(("rule", CHAIN, [source, kept, {"return": None}], None))
            entries.append(("rule", CHAIN, [source, {"masquerade": {"flags": ["fully-random"]}}], None))
        return entries

    def _versions(self) -> list[tuple[int, tuple[str, str]]]:
        return [(version, words) for version, words in FAMILIES.items() if _of(version, self.pods)]

    def _sets(self) -> Iterable[tuple[str, tuple[str, str], list[str]]]:
        for version, words in self._versions():
            yield f"pods{version}", words, _of(version, self.pods)
            yield f"networks{version}", words, _of(version, self.networks)


def masquerade(table: str, pods: Iterable[str], networks: Iterable[str]) -> Masquerade:
    """The wanted table; networks that overlap or adjoin become one, as an interval set has it."""
    pods = merged(pods)
    return Masquerade(table, pods, merged([*networks, *pods]))


def merged(networks: Iterable[str]) -> tuple[str, ...]:
    """Networks without overlaps, in nft's form: a single address stands without its length."""
    parsed = [ipaddress.ip_network(network) for network in networks]
    texts: list[str] = []
    for version, most in ((4, 32), (6, 128)):
        kept: Any = [network for network in parsed if network.version == version]
        for network in ipaddress.collapse_addresses(kept):
            text = validation.network("", str(network))
            texts.append(text.partition("/")[0] if network.prefixlen == most else text)
    return tuple(texts)


def from_json(name: str, entries: Iterable[Mapping[str, Any]], script: str) -> Masquerade:
    """The table that is there; one that is not as this collection writes it is taken as foreign."""
    told = [plain(entry) for entry in entries if "metainfo" not in entry]
    sets = {entry[1]: tuple(entry[4]) for entry in told if entry and entry[0] == "set"}
    pods = (*sets.get("pods4", ()), *sets.get("pods6", ()))
    networks = (*sets.get("networks4", ()), *sets.get("networks6", ()))
    like = masquerade(name, pods, networks) if _are_networks([*pods, *networks]) else None
    own = like is not None and [entry for entry in told if entry] == like.entries()
    return like if like and own else Masquerade(name, pods, networks, foreign=script)


def plain(entry: Mapping[str, Any]) -> Any:
    """An entry of nft's JSON without what differs between releases and runs."""
    if "set" in entry:
        one = entry["set"]
        return (
            "set",
            one["name"],
            one["type"],
            _listed(one.get("flags")),
            sorted(_element(e) for e in one.get("elem", ())),
        )
    if "chain" in entry:
        one = entry["chain"]
        return ("chain", *(one.get(key) for key in ("name", "type", "hook", "prio", "policy")))
    if "rule" in entry:
        one = entry["rule"]
        return "rule", one["chain"], [_expression(part) for part in one["expr"]], one.get("comment")
    if "table" in entry and not entry["table"].get("flags"):
        return None
    return tuple(entry.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _element(element: Any) -> str:
    if isinstance(element, dict) and "prefix" in element:
        return f"{element['prefix']['addr']}/{element['prefix']['len']}"
    return str(element)


def _expression(part: Any) -> Any:
    if "masquerade" in part:
        return {"masquerade": {"flags": _listed((part["masquerade"] or {}).get("flags"))}}
    return part


def _matched(word: str, field: str, right: str) -> dict[str, Any]:
    left = {"payload": {"protocol": word, "field": field}}
    return {"match": {"op": "==", "left": left, "right": right}}


def _of(version: int, networks: Iterable[str]) -> list[str]:
    return [network for network in networks if (":" in network) == (version == 6)]


def _are_networks(texts: Iterable[str]) -> bool:
    try:
        merged(texts)
    except ValueError:
        return False
    return True
