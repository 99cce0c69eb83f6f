# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Values of fields that Calico takes for the same, and a resource's fields with the wanted ones among them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"[0-9]+")
RANGE = re.compile(r"([0-9]+):([0-9]+)")
AS_DOT = re.compile(r"([0-9]+)\.([0-9]+)")
DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|ms|m|s))+")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def merged(found: Any, wanted: Any, whole: bool, sparse: bool, name: str = "") -> Any:
    """What is there once the wanted fields are; with ``whole``, others go."""
    if not isinstance(wanted, Mapping) or not isinstance(found, (Mapping, type(None))):
        same = canonical(found, sparse, name) == canonical(wanted, sparse, name)
        return found if same else without_absent(wanted)
    held = found or {}
    result = {}
    for key in {**held, **wanted}:
        if key in wanted:
            # Labels may well be empty.
            value = merged(held.get(key), wanted[key], whole, sparse and key != "labelsToApply", key)
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


def without_absent(value: Any) -> Any:
    """A value without the fields in it that are to be absent."""
    if not isinstance(value, Mapping):
        return value
    return {name: without_absent(one) for name, one in value.items() if one is not None}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            result[name] = difference(old, new)
        else:
            result[name] = new
    return result
