# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What can be wrong with the names of a cluster, told before the first host changes."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import records as dns_records
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Host,
    Inventory,
    integer,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.networks import (
    network_of,
    pod_network,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.networks import (
    _bridges,
    _foreign_networks,
    _network_hint,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import corefile

EVERY_ADDRESS = ("0.0.0.0", "*", "::")
PORTS = {"dns": 53, "tls": 853}
# What the zones of the cluster are made from.
CLUSTER = {
    "cluster_dns_domain": "the domain of the cluster, such as cluster.local",
    "cluster_service_cidr": "the network of the services, such as 10.0.0.0/24",
    "cluster_pod_cidr": "the network of the pods, such as 10.244.0.0/16",
}
CHECKS = Checks("coredns")


def _address(inventory: Inventory) -> tuple[str, str]:
    """Variable that says where names are served, and the address; empty where it cannot be told."""
    for name in ("coredns_address", "cluster_dns_address"):
        if inventory.value(name):
            return name, str(inventory.value(name))
    services = network_of(inventory, "cluster_service_cidr")
    return "cluster_service_cidr", str(services[2]) if services and services.num_addresses >= 4 else ""


def _port(inventory: Inventory) -> int:
    return integer(inventory.value("coredns_port", 53)) or 0


# --- where names are served ------------------------------------------------------------


@CHECKS
def cluster_is_described(inventory: Inventory) -> Iterator[Fault]:
    for name, meaning in CLUSTER.items():
        if not inventory.value(name) and not inventory.value("coredns_zones"):
            yield Fault(name, None, f"set it to {meaning}")


@CHECKS
def everybody_is_told_one_address(inventory: Inventory) -> Iterator[Fault]:
    variable, address = _address(inventory)
    services = network_of(inventory, "cluster_service_cidr")
    told = inventory.value("cluster_dns_address") or (
        str(services[2]) if services and services.num_addresses >= 4 else ""
    )
    if variable == "coredns_address" and told and address != told:
        yield Fault(variable, address, f"pods are told {told}; set cluster_dns_address, which all roles follow")


@CHECKS
def service_network_has_room(inventory: Inventory) -> Iterator[Fault]:
    services = network_of(inventory, "cluster_service_cidr")
    if services and services.num_addresses < 4:
        remedy = "has no room for the addresses of the API and of the DNS server; take a /29 or larger"
        yield Fault("cluster_service_cidr", services, remedy)


@CHECKS
def address_is_the_servers_own(inventory: Inventory) -> Iterator[Fault]:
    variable, told = _address(inventory)
    if not told:
        return
    try:
        address = ipaddress.IPv4Address(told)
    except ValueError:
        yield Fault(variable, told, "not an IPv4 address such as 10.0.0.2")
        return
    (_variable, pods), services = pod_network(inventory), network_of(inventory, "cluster_service_cidr")
    if pods and address in pods:
        hint = f", such as {services[2]} of the service network" if services and services.num_addresses >= 4 else ""
        yield Fault(variable, told, f"inside the pods' network {pods}; take an address outside of it{hint}")
    if services and address in (services[0], services[1], services[-1]):
        remedy = f"the first address of {services} is the API's, its ends are nobody's; take one such as {services[2]}"
        yield Fault(variable, told, remedy)
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        yield Fault(variable, told, "not an address that pods can reach; take one such as 10.0.0.2")
    for host in inventory.members("coredns"):
        for link, network in _foreign_networks(host, _bridges(inventory)):
            if address in network and variable != "cluster_service_cidr":
                remedy = f"in {network}, the network of {link}; take an address that no network of a host has"
                yield Fault(variable, told, remedy, (host.name,))


@CHECKS
def further_addresses_are_the_hosts(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("coredns"):
        held = {
            address.partition("/")[0]
            for details in host.facts.get("interfaces", {}).values()
            for address in details["addresses"]
        }
        for number, address in enumerate(host.variables.get("coredns_listen", ())):
            if host.facts and str(address) not in held:
                remedy = f"on none of the host's interfaces; it has {', '.join(sorted(held))}"
                yield Fault(f"coredns_listen[{number}]", address, remedy, (host.name,))


@CHECKS
def allowed_networks_are_networks(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("coredns"):
        for number, network in enumerate(host.variables.get("coredns_allowed_networks", ())):
            try:
                ipaddress.ip_network(str(network))
            except ValueError as error:
                where = f"coredns_allowed_networks[{number}]"
                yield Fault(where, network, _network_hint(str(network), error, "192.0.2.0/24"), (host.name,))


@CHECKS
def nobody_else_answers_there(inventory: Inventory) -> Iterator[Fault]:
    port = _port(inventory)
    if not 1 <= port <= 65535:
        yield Fault("coredns_port", inventory.value("coredns_port"), "a port is a number from 1 to 65535")
        return
    variable, own = _address(inventory)
    for host in inventory.members("coredns"):
        places = {own: variable, **{str(one): "coredns_listen" for one in host.variables.get("coredns_listen", ())}}
        for listener in host.facts.get("listeners", ()):
            if listener["port"] != port or listener["process"] in ("", "coredns"):
                continue
            for address, name in places.items():
                if listener["address"] in (*EVERY_ADDRESS, address):
                    where = f"{listener['protocol']}/{port}"
                    remedy = f"{where} is taken by {listener['process']}; stop that, or bind it to other addresses"
                    yield Fault(name, address, remedy, (host.name,))


# --- where names come from -------------------------------------------------------------


def _zones(inventory: Inventory) -> list[tuple[str, Mapping[str, Any]]]:
    """The zones the inventory tells of, each with its place."""
    found = []
    for name in ("coredns_zones", "coredns_further_zones"):
        zones = inventory.value(name)
        for number, zone in enumerate(zones if isinstance(zones, list) else []):
            if isinstance(zone, Mapping):
                found.append((f"{name}[{number}]", zone))
    return found


def _cluster_zones(inventory: Inventory) -> list[str]:
    """Zones that are served without being told."""
    told = [inventory.value(f"cluster_{name}") for name in ("dns_domain", "service_cidr", "pod_cidr")]
    upstreams = inventory.value("coredns_upstreams") or inventory.value("cluster_dns_upstreams")
    try:
        return dns_records.zones([*(one for one in told if one), *(["."] if upstreams else [])])
    except ValueError:
        return []  # told elsewhere


@CHECKS
def zones_are_told_once_and_legal(inventory: Inventory) -> Iterator[Fault]:
    own = [] if inventory.value("coredns_zones") else _cluster_zones(inventory)
    places: dict[str, str] = dict.fromkeys(own, "the zones of the cluster")
    for where, zone in _zones(inventory):
        for position, name in enumerate(zone.get("names") or ()):
            place = f"{where}.names[{position}]"
            try:
                found = dns_records.zones([name])
                if "/" not in str(name) and found != ["."]:
                    dns_records.legal_name(name)
            except dns_records.RecordError as error:
                yield Fault(place, name, error.remedy)
                continue
            except ValueError as error:
                yield Fault(place, name, f"neither a domain nor a network: {error}")
                continue
            for one in found:
                if one in places:
                    yield Fault(place, name, f"{one} is among {places[one]} too; give all its sources there")
                places.setdefault(one, place)


@CHECKS
def records_are_legal(inventory: Inventory) -> Iterator[Fault]:
    own = inventory.value("coredns_records") or ()
    told: list[tuple[str, Any, Any]] = [("coredns_records", own, _cluster_zones(inventory))]
    told += [
        (f"{where}.records", zone.get("records") or (), zone.get("names") or ()) for where, zone in _zones(inventory)
    ]
    for where, items, names in told:
        records, faults = dns_records.read(items, where)
        for fault in faults:
            yield Fault(fault.place, fault.value, fault.remedy)
        try:
            among = dns_records.zones(names)
        except ValueError:
            continue  # told elsewhere
        for record in records:
            if dns_records.zone_of(record.name, among) is None:
                yield Fault(where, record.name, f"in none of the zones {', '.join(among)}; name it in one of them")


@CHECKS
def sources_are_whole(inventory: Inventory) -> Iterator[Fault]:
    wanted: list[tuple[str, Any]] = [("coredns_kubernetes", inventory.value("coredns_kubernetes") or {})]
    files: list[tuple[str, Any]] = []
    for where, zone in _zones(inventory):
        wanted.append((f"{where}.kubernetes", zone.get("kubernetes") or {}))
        files += [(f"{where}.files.{name}", path) for name, path in (zone.get("files") or {}).items()]
        files.append((f"{where}.forward.ca", (zone.get("forward") or {}).get("ca")))
    for where, source in wanted:
        if source and bool(source.get("kubeconfig")) == bool(source.get("endpoint")):
            yield Fault(where, ", ".join(source), "give kubeconfig, or endpoint with certificate, key and ca")
        given = [name for name in ("certificate", "key", "ca") if source.get(name)]
        if given and len(given) < 3:
            yield Fault(where, ", ".join(given), "certificate, key and ca go together")
        files += [(f"{where}.{name}", source.get(name)) for name in ("kubeconfig", "certificate", "key", "ca")]
    for where, path in files:
        if path and not Path(path).expanduser().is_file():
            yield Fault(where, path, "there is no such file on the controller")


def _upstreams(inventory: Inventory) -> list[tuple[str, str]]:
    """Servers that queries are forwarded to, each with its place."""
    name = "coredns_upstreams" if inventory.value("coredns_upstreams") else "cluster_dns_upstreams"
    told = [(f"{name}[{number}]", str(server)) for number, server in enumerate(inventory.value(name) or ())]
    for where, zone in _zones(inventory):
        servers = (zone.get("forward") or {}).get("to") or ()
        told += [(f"{where}.forward.to[{position}]", str(server)) for position, server in enumerate(servers)]
    return told


@CHECKS
def queries_do_not_come_back(inventory: Inventory) -> Iterator[Fault]:
    port = _port(inventory)
    own = {(_address(inventory)[1], port)}
    for host in inventory.members("coredns"):
        own |= {(str(address), port) for address in host.variables.get("coredns_listen", ())}
    remedy = "CoreDNS itself answers there, and would ask itself for ever; give a server of others"
    for where, server in _upstreams(inventory):
        if server.startswith("/"):
            for host in inventory.members("coredns"):
                looped = [one for one in _nameservers(host, server) if (one, 53) in own]
                if looped:
                    yield Fault(where, f"{server} ({looped[0]})", remedy, (host.name,))
            continue
        reached = upstream(server)
        if reached is None:
            yield Fault(where, server, "not an address, with a port or without, such as 192.0.2.53 or tls://192.0.2.53")
        elif reached in own:
            yield Fault(where, server, remedy)


@CHECKS
def resolvers_can_be_told(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.members("coredns"):
        method = host.variables.get("coredns_resolver", "none")
        running = {listener["process"] for listener in host.facts.get("listeners", ())}
        if method == "resolved" and host.facts and "systemd-resolve" not in running:
            yield Fault(
                "coredns_resolver", method, "systemd-resolved does not run here; take resolv_conf", (host.name,)
            )
        if method == "resolv_conf" and _port(inventory) != 53:
            remedy = f"resolv.conf knows no port, and coredns_port is {_port(inventory)}; take resolved"
            yield Fault("coredns_resolver", method, remedy, (host.name,))
        if method != "none":
            for where, server in _upstreams(inventory):
                if server.startswith("/"):
                    remedy = "with coredns_resolver that file leads back to CoreDNS; give the servers themselves"
                    yield Fault(where, server, remedy)


def _nameservers(host: Host, path: str) -> Sequence[str]:
    return host.facts.get("nameservers", ()) if path == "/etc/resolv.conf" else ()


def upstream(server: str) -> tuple[str, int] | None:
    """Address and port of an upstream; None where it is not one."""
    scheme, mark, rest = server.partition("://")
    scheme, rest = (scheme, rest) if mark else ("dns", server)
    rest = rest.partition("%")[0] if scheme == "tls" else rest
    host, port = rest, ""
    if rest.startswith("["):
        host, _mark, port = rest[1:].partition("]")
        port = port.lstrip(":")
    elif rest.count(":") == 1:
        host, _mark, port = rest.partition(":")
    try:
        return str(ipaddress.ip_address(host)), int(port or PORTS[scheme])
    except (ValueError, KeyError):
        return None


@CHECKS
def plugins_are_in_the_build(inventory: Inventory) -> Iterator[Fault]:
    if not inventory.coredns_plugins:
        return
    raw = [("coredns_blocks", inventory.value("coredns_blocks") or "", 1)]
    raw += [(f"{where}.extra", zone.get("extra") or "", 0) for where, zone in _zones(inventory)]
    for where, text, depth in raw:
        for name in corefile.plugins_named(str(text), depth):
            if name not in inventory.coredns_plugins:
                close = difflib.get_close_matches(name, inventory.coredns_plugins, n=1)
                hint = f"did you mean {close[0]}?" if close else "coredns -plugins lists those it has"
                yield Fault(where, name, f"this build of CoreDNS has no such plugin; {hint}")
