# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with how a pod network is to be verified."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    NO_PORT,
    Checks,
    Fault,
    Inventory,
    integer,
    legal,
)

CHECKS = Checks("verify")


@CHECKS
def pods_per_node_are_few(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("verify_pods_per_node", 1)
    number = integer(value)
    if number is None or not 1 <= number <= 10:
        yield Fault("verify_pods_per_node", value, "a number from 1 to 10: every pod probes every other")


@CHECKS
def outside_is_addresses(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("verify_outside") or []
    for number, entry in enumerate(value if isinstance(value, list) else []):
        if not isinstance(entry, Mapping):  # the role's specification refuses it
            continue
        where = f"verify_outside[{number}]"
        try:
            ipaddress.IPv4Address(str(entry.get("address")))
        except ValueError:
            yield Fault(f"{where}.address", entry.get("address"), "not an IPv4 address, such as 198.51.100.7")
        if not legal(integer(entry.get("port"))):
            yield Fault(f"{where}.port", entry.get("port"), NO_PORT)


@CHECKS
def timer_is_one_event(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("verify_timer") or ""
    if value and not re.fullmatch(r"[A-Za-z0-9*/:.,~+ -]+", str(value)):
        yield Fault("verify_timer", value, "a calendar event of systemd, such as *:0/5; systemd-analyze calendar tells")


@CHECKS
def measuring_is_bounded(inventory: Inventory) -> Iterator[Fault]:
    for name, default, most in (("verify_performance_pairs", 3, 100), ("verify_performance_seconds", 1, 60)):
        number = integer(inventory.value(name, default))
        if number is None or not 1 <= number <= most:
            yield Fault(name, inventory.value(name), f"a number from 1 to {most}")
