# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the load balancers of the API and the kubeconfigs that follow them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    NO_PORT,
    Check,
    Fault,
    Host,
    Inventory,
    integer,
    legal,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.ports import takers
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.vips import (
    Address,
    address_of,
    balancer_hosts,
    ipv6_vips_have_company,
    vips_are_addresses,
    vips_are_in_their_subnets,
    vips_are_wanted,
    vips_belong_to_nobody,
    virtual_routers_are_distinct,
    wanted_vips,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import quoting

API_PORT = 6443
PASSWORD = 8  # characters that VRRP version 2 has room for
SLOWEST = 40.95  # seconds between advertisements, in the twelve bits of VRRP version 3
IN_PASSWORD = re.compile(quoting.IN_KEEPALIVED)
# What a path may hold in a request (RFC 3986).
IN_PATH = re.compile(r"[A-Za-z0-9/._~!$&'()*+,;=:@%?-]")
DIGITS = re.compile(r"-?[0-9]+")
# The least that makes sense. What is not here is judged by another check.
LEAST = {
    "api_load_balancer_connect_timeout": 1,
    "api_load_balancer_max_fails": 0,
    "api_load_balancer_fail_timeout": 1,
    "api_load_balancer_idle_timeout": 1,
    "api_load_balancer_max_connections": 1,
    "api_load_balancer_log_days": 1,
    "api_load_balancer_probe_interval": 0.05,
    "api_load_balancer_probe_timeout": 0.05,
    "api_load_balancer_drain_timeout": 0,
    "api_load_balancer_timeout": 1,
}


def _refused(text: str, allowed: re.Pattern[str]) -> str:
    """The first character that a text must not have, as Python writes it; empty where there is none."""
    return next((repr(character) for character in text if not allowed.fullmatch(character)), "")


def _port(inventory: Inventory, host: Host) -> int | None:
    shared = host.variables.get("cluster_api_port", inventory.declared("cluster_api_port"))
    return integer(host.variables.get("api_load_balancer_port", shared))


def _listeners(host: Host) -> list[tuple[int | None, list[str]]]:
    """Ports that nginx listens on for clients, with their backends; those of the API are told apart by no one."""
    further = host.variables.get("api_load_balancer_listeners", [])
    return [
        (integer(one.get("port")), [str(backend) for backend in one.get("backends", [])])
        for one in further
        if isinstance(one, Mapping)
    ]


def _backends(inventory: Inventory, host: Host) -> list[str]:
    given = host.variables.get("api_load_balancer_backends")
    if isinstance(given, list):
        return [str(backend) for backend in given]
    return [f"{one.address}:{API_PORT}" for one in inventory.members("kube_control_plane") if one.address]


def _split(backend: str) -> tuple[Address, int] | None:
    address, _colon, port = backend.rpartition(":")
    plain = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    parsed, number = address_of(plain), integer(port) if DIGITS.fullmatch(port) else None
    if parsed is None or not legal(number):
        return None
    if parsed.version == 6 and not address.startswith("["):
        return None
    return parsed, number


def one_balancer_is_few(inventory: Inventory) -> Iterator[Fault]:
    if len(balancer_hosts(inventory)) == 1:
        remedy = "one balancer: the addresses go down with it, and every restart is felt; take two"
        yield Fault("groups.api_load_balancer", "1 member", remedy, warning=True)


def balancers_speak_ipv4(inventory: Inventory) -> Iterator[Fault]:
    members = inventory.value("api_load_balancer_members")
    if not isinstance(members, Mapping) or not balancer_hosts(inventory):
        return
    for name, address in members.items():
        if not isinstance(address_of(address), ipaddress.IPv4Address):
            yield Fault("api_load_balancer_members", address, f"of {name}: not an IPv4 address", (str(name),))
    for host in balancer_hosts(inventory):
        if host.name not in members:
            yield Fault("api_load_balancer_members", ", ".join(members), f"{host.name} is not among them", (host.name,))


def backends_are_there(inventory: Inventory) -> Iterator[Fault]:
    vips = {vip.parsed for vip in wanted_vips(inventory)}
    for host in balancer_hosts(inventory):
        port, name = _port(inventory, host), (host.name,)
        variable = "api_load_balancer_backends"
        main = (port, _backends(inventory, host))
        if not main[1]:
            remedy = "no backend: put hosts into the group kube_control_plane, or list them as address:port"
            yield Fault(variable, "empty", remedy)
        for number, backends in (main, *_listeners(host)):
            for backend in backends:
                parts = _split(backend)
                if parts is None:
                    remedy = "not an address with a port, such as 192.0.2.21:6443 or [2001:db8::21]:6443"
                    yield Fault(variable, backend, remedy)
                elif parts[1] == number and parts[0] in vips:
                    yield Fault(variable, backend, "a virtual address: the balancer would call itself")
                elif parts[1] == number and str(parts[0]) == host.address:
                    remedy = "the balancer's own port: it would call itself; let one of the two listen elsewhere"
                    yield Fault(variable, backend, remedy, name)
            variable = "api_load_balancer_listeners"
            if number is not None and not backends and number != port:
                yield Fault(variable, number, "a port without backends")


def witnesses_are_addresses(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        given = host.variables.get("api_load_balancer_witnesses", [])
        for witness in given if isinstance(given, list) else ():
            if _split(str(witness)) is None:
                remedy = "not an address with a port, such as 192.0.2.1:22 or [2001:db8::1]:22"
                yield Fault("api_load_balancer_witnesses", witness, remedy)


def numbers_are_large_enough(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        for name, least in LEAST.items():
            number = _number(host.variables.get(name))
            if number is not None and number < least:
                yield Fault(name, host.variables[name], f"must be {least} or more")


def texts_are_safe(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        path = str(host.variables.get("api_load_balancer_probe_path", "/"))
        if not path.startswith("/"):
            yield Fault("api_load_balancer_probe_path", repr(path), "must begin with /, such as /readyz")
        elif refused := _refused(path, IN_PATH):
            remedy = f"character {refused} cannot be in the path of a request; write it as %XX, or leave it out"
            yield Fault("api_load_balancer_probe_path", repr(path), remedy)
        notify = str(host.variables.get("api_load_balancer_notify", ""))
        if notify and (not notify.startswith("/") or not notify.isprintable()):
            yield Fault("api_load_balancer_notify", repr(notify), "must be the path of a program, beginning with /")
        password = str(host.variables.get("api_load_balancer_vrrp_password", ""))
        if refused := _refused(password, IN_PASSWORD):
            remedy = f"character {refused} has a meaning of its own in keepalived.conf; take letters, digits, - . _"
            yield Fault("api_load_balancer_vrrp_password", "a password", remedy)


def balancer_ports_are_free(inventory: Inventory) -> Iterator[Fault]:
    for host in balancer_hosts(inventory):
        wanted = [
            ("api_load_balancer_port", _port(inventory, host)),
            ("api_load_balancer_status_port", integer(host.variables.get("api_load_balancer_status_port", 8404))),
            *(("api_load_balancer_listeners", port) for port, _backends in _listeners(host)),
        ]
        for position, (variable, port) in enumerate(wanted):
            if not legal(port):
                yield Fault(variable, port, NO_PORT)
                continue
            if port in [other for _variable, other in wanted[:position]]:
                yield Fault(variable, port, "the balancer listens on it already, by another variable")
            yield from takers(host, variable, port, "tcp", "nginx")


def vrrp_settings_fit(inventory: Inventory) -> Iterator[Fault]:
    if not balancer_hosts(inventory):
        return
    version = integer(inventory.value("api_load_balancer_vrrp_version", 3))
    password = str(inventory.value("api_load_balancer_vrrp_password", ""))
    interval = _number(inventory.value("api_load_balancer_advert_interval", 0.1))
    if interval is None:
        return  # the argument_specs have told so
    if version == 2 and (interval < 1 or interval != int(interval)):
        remedy = "VRRP version 2 counts in whole seconds; take 1, or api_load_balancer_vrrp_version 3"
        yield Fault("api_load_balancer_advert_interval", interval, remedy)
    elif not 0.01 <= interval <= SLOWEST:
        yield Fault("api_load_balancer_advert_interval", interval, f"must be from 0.01 to {SLOWEST} seconds")
    if password and version != 2:
        remedy = "VRRP version 3 has no password; take version 2, or rely on api_load_balancer_firewall"
        yield Fault("api_load_balancer_vrrp_password", "a password", remedy)
    if len(password) > PASSWORD:
        remedy = f"VRRP version 2 has room for {PASSWORD}; what is more would be cut off"
        yield Fault("api_load_balancer_vrrp_password", f"{len(password)} characters", remedy)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


CHECKS: tuple[Check, ...] = (
    vips_are_wanted,
    vips_are_addresses,
    vips_are_in_their_subnets,
    ipv6_vips_have_company,
    vips_belong_to_nobody,
    virtual_routers_are_distinct,
    one_balancer_is_few,
    balancers_speak_ipv4,
    backends_are_there,
    balancer_ports_are_free,
    vrrp_settings_fit,
    witnesses_are_addresses,
    numbers_are_large_enough,
    texts_are_safe,
)
