# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Resources of Calico's datastore: from what is wanted and what is there to the changes between. All of it is pure.

A resource is ``{"apiVersion", "kind", "metadata": {"name", "namespace", "labels", "annotations"}, "spec"}``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.same_values import (
    difference,
    merged,
    without_absent,
)

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
        return difference(_given(self.before).document(), _given(self.after).document())

    def undone(self) -> Change:
        """The change that takes this one back."""
        return Change(self.after, self.before, self.where)

    def __str__(self) -> str:
        return f"{self.verb} {self.key}"


def _given(resource: Resource | None) -> Resource:
    if resource is None:
        raise ValueError("there is no resource on this side of the change")
    return resource


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
        return Resource(
            wanted.key, without_absent(wanted.spec), without_absent(labels), without_absent(wanted.annotations)
        )
    whole, sparse = kind not in SHARED, kind not in CONFIGURATIONS
    spec = {**wanted.spec}
    if kind in POLICIES and not spec.get("types"):
        spec["types"] = default_types(spec)
    return Resource(
        wanted.key,
        merged(found.spec, spec, whole, sparse) or {},
        merged(found.labels, labels, whole, False) or {},
        merged(found.annotations, wanted.annotations, False, False) or {},
    )


def default_types(spec: Mapping[str, Any]) -> list[str]:
    """The directions that Calico gives a policy that names none."""
    if not spec.get("egress"):
        return ["Ingress"]
    return ["Ingress", "Egress"] if spec.get("ingress") else ["Egress"]


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
