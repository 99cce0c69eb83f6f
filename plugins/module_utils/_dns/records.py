# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""DNS records as people write them, as SkyDNS keys in etcd, and as zone files.

A record is ``{"name", "type", "value", "ttl"}`` with the value in the presentation form of zone files
(RFC 1035): ``10 100 6443 api.cluster.local`` for SRV. All of it is pure; the faults of a list are told
at once, each with its place.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TYPES = ("A", "AAAA", "CNAME", "PTR", "SRV", "TXT")
# Of these, CoreDNS reads the key of the name and none below it.
AT_NAME = ("CNAME", "PTR")
DEFAULT_TTL = 300
LARGEST_TTL = 2**31 - 1  # RFC 2181, section 8
LONGEST_TEXT = 1024
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# What a zone file and CoreDNS' own packing of a TXT record both take as it stands.
TEXT = re.compile(r"[ -\[\]-~]+")


class RecordError(ValueError):
    """Something is wrong with a record: where, with what value, and what would be right."""

    def __init__(self, place: str, value: Any, remedy: str) -> None:
        super().__init__(f"{place}: {value}: {remedy}")
        self.place = place
        self.value = value
        self.remedy = remedy


@dataclass(frozen=True)
class Record:
    """One record. Names are absolute, without the final dot, in lower case."""

    name: str
    type: str
    value: str
    ttl: int = DEFAULT_TTL

    def __str__(self) -> str:
        """The record as a line of a zone file."""
        value = self.value
        if self.type in ("CNAME", "PTR", "SRV"):
            value += "."
        elif self.type == "TXT":
            pieces = [value[start : start + 255] for start in range(0, len(value), 255)]
            value = " ".join('"' + piece.replace('"', '\\"') + '"' for piece in pieces)
        return f"{self.name}. {self.ttl} IN {self.type} {value}"


# --- judging ---------------------------------------------------------------------------


def read(
    items: Sequence[Mapping[str, Any]], where: str = "records", partial: bool = False
) -> tuple[dict[Record, str], list[RecordError]]:
    """The records of a list with the place of each, such as ``records[3]``, and all faults of the list.

    With ``partial``, a record without a value is one, too; its value is empty.
    """
    records: dict[Record, str] = {}
    faults: list[RecordError] = []
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        try:
            record = _record(item, partial)
        except RecordError as error:
            faults.append(RecordError(f"{place}.{error.place}", error.value, error.remedy))
            continue
        if record in records:
            faults.append(RecordError(place, record, f"the same as {records[record]}"))
        records.setdefault(record, place)
    return records, [*faults, *([] if partial else _conflicts(records))]


def legal_name(name: Any, part: str = "name") -> str:
    """A name in lower case without the final dot; raises RecordError where it is not legal."""
    told = str(name)
    folded = told.lower().rstrip(".")
    if not folded or len(folded) > 253:
        raise RecordError(part, told or "empty", "a name has 1 to 253 characters")
    for label in folded.split("."):
        if label in ("*", "any"):
            raise RecordError(part, told, f"{label!r} stands for every label in SkyDNS; give the name itself")
        if not LABEL.fullmatch(label):
            remedy = f"label {label!r} is not legal: letters, digits, hyphens and underscores, 63 at most"
            raise RecordError(part, told, remedy)
    return folded


def _record(item: Mapping[str, Any], partial: bool) -> Record:
    kind = str(item.get("type") or "A").upper()
    if kind not in TYPES:
        raise RecordError("type", kind, f"not one of {', '.join(TYPES)}")
    ttl = item.get("ttl")
    try:
        ttl = DEFAULT_TTL if ttl is None else int(ttl)
    except (TypeError, ValueError):
        raise RecordError("ttl", ttl, "not a number of seconds") from None
    if not 1 <= ttl <= LARGEST_TTL:
        # SkyDNS takes 0 for its default.
        raise RecordError("ttl", ttl, f"give 1 to {LARGEST_TTL} seconds")
    name = item.get("name") or ""
    if kind == "PTR":
        name = _reverse_name(str(name))
    value = item.get("value")
    return Record(legal_name(name), kind, "" if partial and value is None else _value(kind, value), ttl)


def _reverse_name(name: str) -> str:
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        pass
    if not name.lower().rstrip(".").endswith((".in-addr.arpa", ".ip6.arpa")):
        raise RecordError("name", name, "a PTR record has an address for a name, or one below in-addr.arpa")
    return name


def _value(kind: str, value: Any) -> str:
    told = "" if value is None else str(value)
    if kind in ("A", "AAAA"):
        version, example = (4, "192.0.2.7") if kind == "A" else (6, "2001:db8::7")
        try:
            address = ipaddress.ip_address(told)
        except ValueError:
            address = None
        if address is None or address.version != version:
            raise RecordError("value", told or "empty", f"not an IPv{version} address such as {example}")
        return str(address)
    if kind in ("CNAME", "PTR"):
        return legal_name(told, "value")
    if kind == "TXT":
        if len(told) > LONGEST_TEXT or not TEXT.fullmatch(told):
            remedy = f"a text has 1 to {LONGEST_TEXT} printable ASCII characters without a backslash"
            raise RecordError("value", repr(told[:40]), remedy)
        return told
    return _service(told)


def _service(told: str) -> str:
    words = told.split()
    if len(words) != 4 or not all(word.isdigit() for word in words[:3]):
        remedy = "give priority, weight, port and target, such as 10 100 443 www.example.org"
        raise RecordError("value", told or "empty", remedy)
    for part, word, least in (("priority", words[0], 0), ("weight", words[1], 0), ("port", words[2], 1)):
        if not least <= int(word) <= 65535:
            raise RecordError("value", told, f"{part} {word} is not a number from {least} to 65535")
    try:
        ipaddress.ip_address(words[3])
    except ValueError:
        return f"{int(words[0])} {int(words[1])} {int(words[2])} {legal_name(words[3], 'value')}"
    raise RecordError("value", told, f"the target is a name, which then has the address {words[3]}")


def _conflicts(places: Mapping[Record, str]) -> Iterator[RecordError]:
    """What cannot stand together: a CNAME beside anything (RFC 1034, 3.6.2), two TTLs in one set (RFC 2181, 5.2)."""
    by_name: dict[str, list[Record]] = {}
    for record in places:
        for other in by_name.get(record.name, ()):
            if "CNAME" in (record.type, other.type):
                remedy = f"{places[other]} has the name too, and a CNAME stands alone"
                yield RecordError(f"{places[record]}.name", record.name, remedy)
                break
            if record.type == other.type and record.ttl != other.ttl:
                remedy = f"{places[other]} of the same name and type has {other.ttl}; a set has one TTL"
                yield RecordError(f"{places[record]}.ttl", record.ttl, remedy)
                break
        by_name.setdefault(record.name, []).append(record)


# --- SkyDNS ----------------------------------------------------------------------------


def skydns_key(record: Record, path: str, owner: str) -> str:
    """The key of a record. Several of a name are below its key, but for types that CoreDNS looks for at it alone."""
    key = name_key(record.name, path)
    if record.type in AT_NAME:
        return key
    mark = hashlib.sha256(f"{owner}\0{record.value}".encode()).hexdigest()[:8]
    return f"{key}/{record.type.lower()}-{mark}"


def name_key(name: str, path: str) -> str:
    """The key below which all records of a name, and of the names below it, are."""
    return "/".join([path.rstrip("/"), *reversed(name.split("."))])


def skydns_value(record: Record, owner: str) -> str:
    """The value of a record's key.

    The group keeps the records of the names below out of the answers for this name. CoreDNS does not know
    the members owner and type, and leaves them alone.
    """
    value: dict[str, Any] = {"group": record.name, "owner": owner, "ttl": record.ttl, "type": record.type}
    if record.type == "TXT":
        value["text"] = record.value
    elif record.type == "SRV":
        priority, weight, port, value["host"] = record.value.split()
        value.update(priority=int(priority), weight=int(weight), port=int(port))
    else:
        value["host"] = record.value
    return json.dumps(value, sort_keys=True)


def from_skydns(value: str) -> Record | None:
    """The record that :func:`skydns_value` made a value of; None where it did not."""
    if skydns_owner(value) is None:
        return None
    found = json.loads(value)
    told = found.get("host", found.get("text", ""))
    if found["type"] == "SRV":
        told = f"{found['priority']} {found['weight']} {found['port']} {told}"
    return Record(found["group"], found["type"], told, found["ttl"])


def skydns_owner(value: str) -> str | None:
    """Who put a value; None for one that did not come from here."""
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return str(found["owner"]) if isinstance(found, dict) and "owner" in found else None


def skydns_keys(records: Mapping[Record, str], path: str, owner: str) -> tuple[dict[str, Record], list[RecordError]]:
    """Records by key, and those that have no key of their own. ``records`` is what :func:`read` returned."""
    keys: dict[str, Record] = {}
    faults = []
    for record, place in records.items():
        other = keys.setdefault(skydns_key(record, path, owner), record)
        if other is not record:
            remedy = f"CoreDNS serves one {record.type} record of a name from etcd, and {records[other]} is that"
            faults.append(RecordError(f"{place}.name", record.name, remedy))
    return keys, faults


def skydns_faults(
    wanted: Mapping[str, Record], others: Iterable[str], path: str, places: Mapping[Record, str]
) -> Iterator[RecordError]:
    """What SkyDNS would answer wrongly.

    ``wanted`` are the records by key, ``places`` where each is told, ``others`` all further keys that will
    be there. For a name, SkyDNS takes whatever is below its key, and the key itself only where nothing is.
    """
    kinds: dict[str, set[str]] = {}
    for record in wanted.values():
        kinds.setdefault(record.name, set()).add(record.type)
    keys = {*wanted, *others}
    parents: dict[str, str] = {}
    for key in sorted(keys):
        pieces = key.split("/")
        parents.update({"/".join(pieces[:count]): key for count in range(2, len(pieces))})
    for key, record in wanted.items():
        place, own = f"{places[record]}.name", name_key(record.name, path)
        if record.type == "CNAME" and key in parents:
            yield RecordError(place, record.name, f"{parents[key]} is below it, and would hide the CNAME")
        if record.type not in AT_NAME and own in keys:
            yield RecordError(place, record.name, f"would hide what is at {own}; remove that")
        if record.type == "SRV" and kinds[record.name] & {"A", "AAAA"}:
            remedy = "has addresses too, which SkyDNS gives as SRV; take another name, such as _https._tcp.www"
            yield RecordError(place, record.name, remedy)


# --- zones -----------------------------------------------------------------------------


def zones(names: Iterable[str]) -> list[str]:
    """Zones of a list of domains and networks; a network becomes the reverse zones that cover it."""
    found: list[str] = []
    for name in names:
        if "/" in str(name):
            found += _reverse_zones(str(name))
        else:
            found.append(str(name).lower().rstrip(".") or ".")
    return list(dict.fromkeys(found))


def _reverse_zones(cidr: str) -> list[str]:
    network = ipaddress.ip_network(cidr)
    step = 8 if network.version == 4 else 4
    length = max(step, -(-network.prefixlen // step) * step)
    return [
        # Of the name of an address, the labels that the network leaves open go.
        str(part.network_address.reverse_pointer).split(".", (part.max_prefixlen - length) // step)[-1]
        for part in network.subnets(new_prefix=length)
    ]


def zone_of(name: str, among: Iterable[str]) -> str | None:
    """The closest zone a name is in."""
    holding = [zone for zone in among if zone == "." or name == zone or name.endswith(f".{zone}")]
    return max(holding, key=len, default=None)


def zone_files(records: Iterable[Record], among: Sequence[str], server: str, ttl: int = 30) -> dict[str, str]:
    """Zone files of all the zones, by zone; an address gets its PTR record where its reverse zone is here.

    ``server`` is the name of the server, ``ttl`` how long a name that does not exist is remembered.
    """
    everything = list(records)
    named = {record.name for record in everything if record.type == "PTR"}
    for record in list(everything):
        if record.type in ("A", "AAAA"):
            pointer = ipaddress.ip_address(record.value).reverse_pointer
            if pointer not in named:
                named.add(pointer)  # the first name of an address is the one it is called by
                everything.append(Record(pointer, "PTR", record.name, record.ttl))
    files = {}
    for zone in among:
        lines = sorted(str(record) for record in everything if zone_of(record.name, among) == zone)
        # No secondary follows these zones, so any serial that changes with the content will do.
        serial = int(hashlib.sha256("\n".join(lines).encode()).hexdigest()[:8], 16)
        name_server = f"{'' if zone == '.' else zone}. {DEFAULT_TTL} IN NS {server}."
        files[zone] = "\n".join([start_of_authority(zone, server, serial, ttl), name_server, *lines, ""])
    return files


def start_of_authority(zone: str, server: str, serial: int, ttl: int) -> str:
    """The SOA record of a zone (RFC 1035, 3.3.13)."""
    apex = "" if zone == "." else zone
    return f"{apex}. {ttl} IN SOA {server}. hostmaster.{server}. {serial} 7200 1800 86400 {ttl}"
