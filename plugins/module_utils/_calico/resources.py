# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Resources of Calico's datastore: from what is wanted and what is there to the changes between. All of it is pure.

A resource is ``{"apiVersion", "kind", "metadata": {"name", "namespace", "labels", "annotations"}, "spec"}``.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

API = "projectcalico.org/v3"
# In the order they are made. A host endpoint without a policy shuts its host, so policies stand before it.
KINDS = (
    "IPPool",
    "IPReservation",
    "BGPConfiguration",
    "BGPFilter",
    "FelixConfiguration",
    "Node",
    "BGPPeer",
    "Profile",
    "GlobalNetworkSet",
    "NetworkSet",
    "GlobalNetworkPolicy",
    "NetworkPolicy",
    "HostEndpoint",
)
NAMESPACED = ("NetworkPolicy", "NetworkSet")
# Calico writes into these as well, such as the address of a tunnel into a Node: fields that are not named stay.
SHARED = ("BGPConfiguration", "FelixConfiguration", "IPPool", "Node", "Profile")
# Here false and an empty list are values of their own; elsewhere Calico does not keep them.
CONFIGURATIONS = ("BGPConfiguration", "FelixConfiguration")
POLICIES = ("GlobalNetworkPolicy", "NetworkPolicy")

FIELDS = ("apiVersion", "kind", "metadata", "spec")
METADATA = ("name", "namespace", "labels", "annotations")
NUMBER = re.compile(r"[0-9]+")
RANGE = re.compile(r"([0-9]+):([0-9]+)")
AS_DOT = re.compile(r"([0-9]+)\.([0-9]+)")
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class ResourceError(ValueError):
    """Something is wrong with a resource: where, with what value, and what would be right."""

    def __init__(self, place: str, value: Any, remedy: str) -> None:
        super().__init__(f"{place}: {'not set' if value is None else value}: {remedy}")
        self.place = place
        self.value = value
        self.remedy = remedy


@dataclass(frozen=True)
class Key:
    """What a resource is called; ``namespace`` is empty where its kind has none."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Resource:
    """A resource, without what Calico alone keeps in it, such as its version."""

    key: Key
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The resource as calicoctl reads it."""
        metadata: dict[str, Any] = {"name": self.key.name}
        if self.key.namespace:
            metadata["namespace"] = self.key.namespace
        for name, held in (("labels", self.labels), ("annotations", self.annotations)):
            if held:
                metadata[name] = dict(held)
        return {"apiVersion": API, "kind": self.key.kind, "metadata": metadata, "spec": dict(self.spec)}

    def text(self) -> str:
        """The resource in a diff."""
        return json.dumps(self.document(), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Change:
    """One resource that differs, and the place that asks for it."""

    before: Resource | None
    after: Resource | None
    where: str

    @property
    def key(self) -> Key:
        return _given(self.after or self.before).key

    @property
    def verb(self) -> str:
        if self.before is None:
            return "create"
        if self.after is None:
            return "delete"
        return "patch" if self.key.kind in SHARED else "replace"

    def patch(self) -> dict[str, Any]:
        """The merge patch that leads from the one to the other; what is to go is null in it."""
        return _difference(_given(self.before).document(), _given(self.after).document())

    def undone(self) -> Change:
        """The change that takes this one back."""
        return Change(self.after, self.before, self.where)

    def __str__(self) -> str:
        return f"{self.verb} {self.key}"


def _given(resource: Resource | None) -> Resource:
    if resource is None:
        raise ValueError("there is no resource on this side of the change")
    return resource


# --- reading ---------------------------------------------------------------------------


def read(
    items: Sequence[Any], partial: bool = False, where: str = "resources", kinds: Sequence[str] = KINDS
) -> tuple[dict[Key, Resource], dict[Key, str], list[ResourceError]]:
    """Resources of a list, the place of each such as ``resources[3]``, and all faults of the list.

    With ``partial``, the names alone count. ``where`` is what the list is called.
    """
    found: dict[Key, Resource] = {}
    places: dict[Key, str] = {}
    faults: list[ResourceError] = []
    for number, item in enumerate(items):
        place = f"{where}[{number}]"
        wrong = list(_faults(item, place, partial, kinds))
        faults += wrong
        if wrong:
            continue
        resource = stored(item)
        if resource.key in places:
            faults.append(ResourceError(place, resource.key, f"the same as {places[resource.key]}"))
        places.setdefault(resource.key, place)
        found.setdefault(resource.key, resource)
    return found, places, faults


def stored(item: Mapping[str, Any]) -> Resource:
    """A resource as calicoctl shows it."""
    metadata = item["metadata"]
    kind = str(item["kind"])
    namespace = str(metadata.get("namespace") or "default") if kind in NAMESPACED else ""
    return Resource(
        Key(kind, str(metadata["name"]), namespace),
        item.get("spec") or {},
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
    )


def _faults(item: Any, place: str, partial: bool, kinds: Sequence[str]) -> Iterator[ResourceError]:
    if not isinstance(item, Mapping):
        yield ResourceError(place, item, "give kind, metadata and spec")
        return
    kind = item.get("kind")
    if kind not in kinds:
        near = difflib.get_close_matches(str(kind or ""), kinds, 1)
        yield ResourceError(f"{place}.kind", kind, f"did you mean {near[0]}?" if near else f"one of {', '.join(kinds)}")
    if item.get("apiVersion", API) != API:
        yield ResourceError(f"{place}.apiVersion", item["apiVersion"], f"only {API} is known")
    yield from _unknown(item, FIELDS, place)
    metadata = item.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        yield ResourceError(f"{place}.metadata.name", None, "every resource has a name")
        return
    yield from _unknown(metadata, METADATA, f"{place}.metadata")
    if metadata.get("namespace") and kind in KINDS and kind not in NAMESPACED:
        yield ResourceError(f"{place}.metadata.namespace", metadata["namespace"], f"a {kind} is in no namespace")
    for name in ("labels", "annotations"):
        if not isinstance(metadata.get(name) or {}, Mapping):
            yield ResourceError(f"{place}.metadata.{name}", metadata[name], "give names with their values")
    spec = item.get("spec")
    if not isinstance(spec, Mapping) and not (partial or (spec is None and kind in SHARED)):
        yield ResourceError(f"{place}.spec", spec, f"give the fields of the {kind}")


def _unknown(held: Mapping[str, Any], known: Sequence[str], place: str) -> Iterator[ResourceError]:
    for name in held:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1)
            yield ResourceError(
                f"{place}.{name}",
                held[name],
                f"not a field; did you mean {near[0]}?" if near else f"not a field; there are {', '.join(known)}",
            )


# --- planning --------------------------------------------------------------------------


def plan(
    wanted: Mapping[Key, Resource],
    places: Mapping[Key, str],
    found: Mapping[Key, Resource],
    purge_label: Mapping[str, str] | None = None,
    purge_kinds: Collection[str] = (),
) -> list[Change]:
    """Changes after which the wanted resources are there.

    Wanted resources of the kinds ``purge_kinds`` get ``purge_label``; others of these kinds that bear it go.
    """
    label = dict(purge_label or {})
    changes = []
    for key in sorted(wanted, key=_rank):
        before = found.get(key)
        after = settled(wanted[key], before, label if key.kind in purge_kinds else {})
        if after != before:
            changes.append(Change(before, after, places[key]))
    surplus = [
        key
        for key, resource in found.items()
        if label and key.kind in purge_kinds and key not in wanted and label.items() <= dict(resource.labels).items()
    ]
    return [*changes, *_deletions(surplus, found, dict.fromkeys(surplus, "purge_label"))]


def plan_absent(places: Mapping[Key, str], found: Mapping[Key, Resource]) -> list[Change]:
    """Changes after which none of the named resources is there."""
    return _deletions([key for key in places if key in found], found, places)


def _deletions(keys: Collection[Key], found: Mapping[Key, Resource], places: Mapping[Key, str]) -> list[Change]:
    return [Change(found[key], None, places[key]) for key in sorted(keys, key=_rank, reverse=True)]


def _rank(key: Key) -> tuple[int, str, str]:
    return KINDS.index(key.kind), key.namespace, key.name


def settled(wanted: Resource, found: Resource | None, label: Mapping[str, str]) -> Resource:
    """The resource as it will be. What Calico takes for the same stays as it was found."""
    kind, labels = wanted.key.kind, {**wanted.labels, **label}
    if found is None:
        return Resource(wanted.key, _told(wanted.spec), _told(labels), _told(wanted.annotations))
    whole, sparse = kind not in SHARED, kind not in CONFIGURATIONS
    spec = {**wanted.spec}
    if kind in POLICIES and not spec.get("types"):
        spec["types"] = default_types(spec)
    return Resource(
        wanted.key,
        _merged(found.spec, spec, whole, sparse) or {},
        _merged(found.labels, labels, whole, False) or {},
        _merged(found.annotations, wanted.annotations, False, False) or {},
    )


def default_types(spec: Mapping[str, Any]) -> list[str]:
    """The directions that Calico gives a policy that names none."""
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]


def _merged(found: Any, wanted: Any, whole: bool, sparse: bool, name: str = "") -> Any:
    """What is there once the wanted fields are; with ``whole``, others go."""
    if not isinstance(wanted, Mapping) or not isinstance(found, (Mapping, type(None))):
        same = canonical(found, sparse, name) == canonical(wanted, sparse, name)
        return found if same else _told(wanted)
    held = found or {}
    result = {}
    for key in {**held, **wanted}:
        if key in wanted:
            # Labels may well be empty.
            value = _merged(held.get(key), wanted[key], whole, sparse and key != "labelsToApply", key)
        else:
            value = None if whole and canonical(held[key], sparse) is not None else held[key]
        if value is not None:
            result[key] = value
    return result if held else result or found


def canonical(value: Any, sparse: bool, name: str = "") -> Any:
    """A value so that two that Calico takes for the same are equal; with ``sparse``, what it does not keep is None."""
    if isinstance(value, Mapping):
        held = {str(key): canonical(one, sparse, str(key)) for key, one in value.items()}
        held = {key: one for key, one in held.items() if one is not None}
        return held if held or not sparse else None
    if isinstance(value, (list, tuple)):
        items = [canonical(one, sparse, name) for one in value]
        return items if items or not sparse else None
    if sparse and (value is False or value == ""):
        return None
    return _scalar(value, name) if isinstance(value, str) else value


def _scalar(value: str, name: str) -> Any:
    if NUMBER.fullmatch(value):
        return int(value)
    ports = RANGE.fullmatch(value)
    if ports and ports.group(1) == ports.group(2):
        return int(ports.group(1))
    halves = AS_DOT.fullmatch(value)
    if halves and name == "asNumber":
        return int(halves.group(1)) * 65536 + int(halves.group(2))
    if DURATION.fullmatch(value):
        parts = re.findall(r"([0-9.]+)(h|ms|m|s)", value)
        return "duration", round(sum(float(number) * UNITS[unit] for number, unit in parts), 3)
    if "/" in value or ":" in value:
        try:
            return str(ipaddress.ip_interface(value))
        except ValueError:
            pass
    return value


def _told(value: Any) -> Any:
    """A value without the fields in it that are to be absent."""
    if not isinstance(value, Mapping):
        return value
    return {name: _told(one) for name, one in value.items() if one is not None}


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            result[name] = _difference(old, new)
        else:
            result[name] = new
    return result


def places_of(held: Any, name: str, place: str) -> Iterator[str]:
    """All places at which a field of this name is."""
    if isinstance(held, Mapping):
        for key, value in held.items():
            if key == name:
                yield f"{place}.{key}"
            yield from places_of(value, name, f"{place}.{key}")
    elif isinstance(held, (list, tuple)):
        for number, value in enumerate(held):
            yield from places_of(value, name, f"{place}[{number}]")
