# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Everything that can be wrong with an inventory, told before the first host changes.

:func:`check` is pure: it gets the variables and facts of all hosts and returns all faults at once,
each with the variable, its value and what would be right.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, TypeGuard

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import files
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import (
    NO_BOOLEAN,
    meant,
    misshapen,
    of_all_roles,
)

IPv4 = ipaddress.IPv4Network
IPv6 = ipaddress.IPv6Network

ARCHITECTURES = ("amd64", "arm64")
# Words of os-release(5) for the distributions whose packages and paths the roles know.
FAMILIES = ("debian", "ubuntu")
OLDEST_PYTHON = (3, 9)
OLDEST_ANSIBLE = (2, 19)
# Older ones cannot comment a table (sigs.k8s.io/knftables, which flanneld uses).
OLDEST_NFT = (1, 0, 1)
CLOCK_SKEW = 5.0
# Links that the collection or a CNI plugin made: their addresses are the pod network's own.
OWN_LINKS = re.compile(r"(cni\d*|flannel.*|vxlan-mesh|cali.*|vxlan\.calico|tunl0|veth.*|coredns0|lo)")
# What an encapsulation adds to a packet, in bytes, over IPv4.
OVERHEAD = {"vxlan": 50, "udp": 28, "ipip": 20, "host-gw": 0}
# Network backends without a daemon, with what they add to a packet.
ROUTED = {"vxlan_mesh": 50, "host_routes": 0}
# Addresses that no pod or service can have (RFC 6890, RFC 1112).
NOT_FOR_PODS = {
    "this host's": IPv4("0.0.0.0/8"),
    "loopback": IPv4("127.0.0.0/8"),
    "link-local": IPv4("169.254.0.0/16"),
    "multicast": IPv4("224.0.0.0/4"),
    "reserved": IPv4("240.0.0.0/4"),
}
# What every host must take (RFC 791).
SMALLEST_MTU = 576
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The role whose argument_specs declare the variables of the cluster, which begin with cluster_.
DECLARES_CLUSTER = "preflight"
# Roles whose names others' variables begin with too, such as node_exporter_version.
COMMON_WORDS = ("node", "verify")


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, and what would be right."""

    variable: str
    value: Any
    remedy: str
    hosts: tuple[str, ...] = ()
    # Allowed, but worth knowing.
    warning: bool = False
    # Not reported where a specific fault of the same variable is.
    general: bool = False

    def __str__(self) -> str:
        where = f" [{', '.join(self.hosts)}]" if self.hosts else ""
        value = "not set" if self.value is None else str(self.value)
        value = value if value.isprintable() and value == value.strip() else repr(value)
        return f"{self.variable}: {value}: {self.remedy}{where}"


@dataclass(frozen=True)
class Host:
    """A host of the run. ``facts`` is what host_facts found; empty where the host is not in the run.

    ``port`` is that of Ansible's connection.
    """

    name: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    address: str = ""
    port: int = 22


@dataclass(frozen=True)
class Inventory:
    """All hosts, their groups, the roles that will run and what each of them accepts.

    ``specs`` maps a role to the options of its argument_specs; those of role preflight are the cluster's variables.
    ``faults`` are those found while the inventory was read. ``coredns_plugins`` are those of the build that will run;
    empty where it was not asked. ``authority`` has the fingerprints of the controller's authority; empty where there
    is none.
    """

    hosts: Mapping[str, Host]
    groups: Mapping[str, Sequence[str]]
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ansible: str = "2.19"
    networks: Sequence[str] = ("flannel",)
    coredns_plugins: Sequence[str] = ()
    authority: Sequence[str] = ()
    faults: Sequence[Fault] = ()

    def value(self, name: str, default: Any = None) -> Any:
        """Value of a variable that is the same for the whole cluster; one of the cluster's has its declared default."""
        for host in self.hosts.values():
            if name in host.variables:
                return host.variables[name]
        return self.declared(name, default)

    def declared(self, name: str, default: Any = None) -> Any:
        """Default of a variable of the cluster, from its declaration."""
        return self.specs.get(DECLARES_CLUSTER, {}).get(name, {}).get("default", default)

    def members(self, group: str) -> list[Host]:
        """Hosts of a group."""
        return [self.hosts[name] for name in self.groups.get(group, ()) if name in self.hosts]


Check = Callable[[Inventory], Iterable[Fault]]


class Checks(list[Check]):
    """Checks that are made where a role is in the run; each is put among them as a decorator."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def __call__(self, check: Check) -> Check:
        @wraps(check)
        def guarded(inventory: Inventory) -> Iterable[Fault]:
            return check(inventory) if self.role in inventory.specs else ()

        self.append(guarded)
        return guarded


def check(inventory: Inventory, further: Iterable[Check] = ()) -> list[Fault]:
    """All faults of an inventory; the same fault on several hosts counts once.

    Of a variable whose value has another type nothing else is reported, and no check sees it.
    """
    found: dict[tuple[str, str, str], Fault] = {}
    types = list(values_have_their_type(inventory))
    shapes = [fault for fault in types if not fault.general]
    bad = {(_base(fault.variable), *fault.hosts) for fault in shapes}
    judged = {
        host.name: replace(
            host, variables={name: value for name, value in host.variables.items() if (name, host.name) not in bad}
        )
        for host in inventory.hosts.values()
    }
    inventory, names = replace(inventory, hosts=judged), {_base(fault.variable) for fault in shapes}
    others = [*types, *inventory.faults, *(fault for one in (*CHECKS, *further) for fault in one(inventory))]
    for fault in [*shapes, *(fault for fault in others if _base(fault.variable) not in names)]:
        key = (fault.variable, str(fault.value), fault.remedy)
        earlier = found.get(key)
        hosts = (*earlier.hosts, *(h for h in fault.hosts if h not in earlier.hosts)) if earlier else fault.hosts
        found[key] = replace(fault, hosts=hosts)
    particular = {_base(fault.variable) for fault in found.values() if not fault.general and not fault.warning}
    return [fault for fault in found.values() if not (fault.general and _base(fault.variable) in particular)]


def is_of_variable(fault: Fault, inventory: Inventory) -> bool:
    """Whether a fault is of a variable that a host of it has: not of one that is missing, of a group, or a machine."""
    hosts = [host for host in inventory.hosts.values() if not fault.hosts or host.name in fault.hosts]
    return any(_base(fault.variable) in host.variables for host in hosts)


def _base(place: str) -> str:
    """The variable of a place in one."""
    return re.split(r"[.\[]", place, maxsplit=1)[0]


# --- the run and its hosts -------------------------------------------------------------


def ansible_is_new_enough(inventory: Inventory) -> Iterator[Fault]:
    if _numbers(inventory.ansible) < OLDEST_ANSIBLE:
        oldest = ".".join(map(str, OLDEST_ANSIBLE))
        yield Fault("ansible-core", inventory.ansible, f"version {oldest} or newer is needed on the controller")


def hosts_can_run_it(inventory: Inventory) -> Iterator[Fault]:
    for host in inventory.hosts.values():
        facts, name = host.facts, (host.name,)
        if not facts:
            continue
        told = facts.get("distribution", {"name": "", "families": FAMILIES})
        if not set(FAMILIES) & set(told["families"]):
            remedy = "only Debian, Ubuntu and distributions made from them are supported; install one of these"
            yield Fault("distribution", told["name"] or "unknown", remedy, name)
        if facts["architecture"] not in ARCHITECTURES:
            yield Fault("architecture", facts["architecture"], f"only {' and '.join(ARCHITECTURES)} are served", name)
        if not facts["systemd"]:
            yield Fault("init system", "not systemd", "daemons are systemd units: the host must run systemd", name)
        if _numbers(facts["python"]) < OLDEST_PYTHON:
            oldest = ".".join(map(str, OLDEST_PYTHON))
            yield Fault("python", facts["python"], f"version {oldest} or newer is needed on the host", name)


def services_have_a_python(inventory: Inventory) -> Iterator[Fault]:
    """What runs the load balancer's health check and the timer of role verify."""
    timed = [host for host in inventory.members("nodes") if host.variables.get("verify_timer")]
    for host in {host.name: host for host in (*inventory.members("api_load_balancer"), *timed)}.values():
        if host.facts.get("unit_python") == "":
            remedy = (
                "services need Python 3.9 or newer at /usr/bin/python3, or an ansible_python_interpreter outside of "
                "home and temporary directories, which they do not see"
            )
            yield Fault("python for services", "none", remedy, (host.name,))


def records_are_readable(inventory: Inventory) -> Iterator[Fault]:
    """Without the record of what it put there, the collection cannot tell what is its own."""
    for host in inventory.hosts.values():
        for owner, problem in host.facts.get("damaged_records", {}).items():
            yield Fault("install record", owner, str(problem), (host.name,))


def data_stays_where_it_is(inventory: Inventory) -> Iterator[Fault]:
    """A daemon with its data in one directory would begin without any in another, on all hosts."""
    for variable, owner in DATA_DIRECTORIES.items():
        for host in inventory.members(owner):
            wanted = host.variables.get(variable, inventory.specs.get(owner, {}).get(variable, {}).get("default"))
            held = host.facts.get("data_directories", {}).get(owner, {})
            if not wanted or not held or str(wanted) in {*held, *held.values()}:
                continue
            old, *_further = held
            yield Fault(
                variable, wanted, f"the data is in {old}. {files.how_to_move(owner, old, wanted)}", (host.name,)
            )


# Variable -> group whose hosts have a daemon of that name with its data there.
DATA_DIRECTORIES = {"etcd_data_directory": "etcd"}


def sysctls_outlive_a_boot(inventory: Inventory) -> Iterator[Fault]:
    """A file that is read after the role's own would undo its settings at the next boot."""
    for host in inventory.members("nodes"):
        default = inventory.specs.get("node", {}).get("node_sysctls", {}).get("default", {})
        wanted = host.variables.get("node_sysctls", default)
        later = host.facts.get("boot_sysctls", {})
        for name, value in wanted.items() if isinstance(wanted, Mapping) else ():
            path, other = later.get(str(name), ("", ""))
            if path and other != str(value):
                remedy = f"{path} sets {other} and is read later, at every boot; take it out there"
                yield Fault("node_sysctls", f"{name} = {value}", remedy, (host.name,))


def groups_are_filled(inventory: Inventory) -> Iterator[Fault]:
    # Load balancers alone are a cluster's front door, and the cluster may be somebody else's.
    if not inventory.groups.get("nodes") and not inventory.groups.get("api_load_balancer"):
        yield Fault("groups.nodes", "empty", "put the hosts that run pods into it")


# --- variables -------------------------------------------------------------------------


def variables_are_known(inventory: Inventory) -> Iterator[Fault]:
    """A variable that begins like a role's and is none of them, or almost is one of any role's, is a typing error."""
    every = {name: option for options in of_all_roles().values() for name, option in options.items()}
    unknown = [(name, host) for host in inventory.hosts.values() for name in host.variables if name not in every]
    for name, host in unknown:
        role = _role_of(name)
        hint = _hint(name, role) if role in inventory.specs else ""
        remedy = f"role {role} has no such variable; {hint}" if hint else ""
        if not hint and (close := meant(name)):
            remedy = f"no role has such a variable; did you mean {close}? Give one of your own another name"
        if remedy:
            value = host.variables[name]
            # What begins like no role's variable may be the user's own, such as a secret from a vault.
            hidden = not hint or is_secret(name, every) or holds_secret(value)
            yield Fault(name, NOT_SHOWN if hidden else value, remedy, (host.name,))


def _role_of(name: str) -> str:
    """The role whose variables begin like this one, by the longest name; empty where there is none."""
    roles = (role for role in of_all_roles() if role != DECLARES_CLUSTER and name.startswith(f"{role}_"))
    return max(roles, key=len, default="")


def _hint(name: str, role: str) -> str:
    """What a variable that begins like a role's was to be; empty where it is probably not the role's."""
    options, common = of_all_roles()[role], role in COMMON_WORDS
    endings = [option.removeprefix(f"{role}_") for option in options]
    close = difflib.get_close_matches(name.removeprefix(f"{role}_"), endings, n=1, cutoff=0.8 if common else 0.6)
    if close:
        return f"did you mean {role}_{close[0]}?"
    if name == f"{role}_version" and not common:
        return "versions are in binaries_versions, by name of the artifact"
    return "" if common else f"known are {', '.join(sorted(options))}"


NOT_SHOWN = "not shown"
SECRET_WORDS = ("password", "passphrase", "pass", "pwd", "secret", "token", "key", "credentials")


def is_secret(name: str, options: Mapping[str, Any]) -> bool:
    """Whether a variable's value must not be shown: its name is, or is almost, that of a secret.

    ``options`` are a role's. A name that is close to one of a secret option is a secret with a typing error.
    """
    if name in options:
        return bool(options[name].get("no_log")) or any(
            one.get("no_log") or word in SECRET_WORDS for word, one in (options[name].get("options") or {}).items()
        )
    secret = [option for option in options if is_secret(option, options)]
    words = name.lower().split("_")
    return bool(difflib.get_close_matches(name, secret, n=1, cutoff=0.85)) or any(
        difflib.get_close_matches(word.removesuffix("s"), SECRET_WORDS, n=1, cutoff=0.75) for word in words
    )


def holds_secret(value: Any) -> bool:
    """Whether some key in a value is, or is almost, the name of a secret."""
    if isinstance(value, Mapping):
        return any(is_secret(str(name), {}) or holds_secret(one) for name, one in value.items())
    return isinstance(value, (list, tuple)) and any(holds_secret(one) for one in value)


def values_have_their_type(inventory: Inventory) -> Iterator[Fault]:
    """Each value is of the type that the option has, without a conversion that templates do not make."""
    for host in inventory.hosts.values():
        for options in inventory.specs.values():
            for name in sorted(options.keys() & host.variables.keys()):
                for place, value, remedy in misshapen(options[name], host.variables[name], name):
                    hidden = value is not None and (is_secret(name, options) or holds_secret(value))
                    told = NOT_SHOWN if hidden else value
                    # A check of the variable's own says more of a scalar.
                    yield Fault(place, told, remedy, (host.name,), general=remedy == NO_BOOLEAN)


def cluster_variables_are_set(inventory: Inventory) -> Iterator[Fault]:
    if not inventory.groups.get("nodes"):
        return
    wanted = {
        "cluster_network": f"set it to one of {', '.join(inventory.networks)}",
        "cluster_pod_cidr": "set it to the network of the pods, such as 10.244.0.0/16",
        "cluster_service_cidr": "set it to the network of the services, such as 10.0.0.0/24",
    }
    if "certificates" in inventory.specs:
        wanted["cluster_certificates_directory"] = (
            "set it to a private directory of the controller, such as {{ inventory_dir }}-pki"
        )
    for name, remedy in wanted.items():
        if inventory.value(name) in (None, ""):
            yield Fault(name, None, remedy)
    network = inventory.value("cluster_network")
    if network and network not in inventory.networks:
        yield Fault("cluster_network", network, f"not a network backend; take one of {', '.join(inventory.networks)}")


def cluster_variables_agree(inventory: Inventory) -> Iterator[Fault]:
    """What describes the cluster is read from any of its hosts, so it must be the same on all."""
    defaults = {name: option.get("default") for options in inventory.specs.values() for name, option in options.items()}
    for group, names in WHOLE_CLUSTER.items():
        for name in names:
            holders: dict[str, list[str]] = {}
            for host in inventory.members(group):
                value = host.variables.get(name, defaults.get(name))
                holders.setdefault("not set" if value is None else str(value), []).append(host.name)
            if len(holders) > 1:
                told = "; ".join(f"{value} ({', '.join(hosts)})" for value, hosts in holders.items())
                yield Fault(name, told, f"must be the same on all hosts of group {group}")


WHOLE_CLUSTER = {
    "nodes": (
        "cluster_network",
        "cluster_pod_cidr",
        "cluster_pod_cidr_v6",
        "cluster_service_cidr",
        "cluster_dns_domain",
        "cluster_dns_address",
        "cluster_certificates_directory",
        "flannel_backend",
        "flannel_network",
        "flannel_subnet_length",
        "flannel_vxlan_vni",
        "flannel_vxlan_port",
        "flannel_vxlan_direct_routing",
        "flannel_udp_port",
        "flannel_mtu",
        "flannel_firewall",
        "flannel_etcd_prefix",
        "vxlan_mesh_subnet_length",
        "vxlan_mesh_vni",
        "vxlan_mesh_port",
        "vxlan_mesh_direct_routing",
        "vxlan_mesh_mtu",
        "host_routes_subnet_length",
        "calico_encapsulation",
        "calico_ip_pools",
        "calico_vxlan_vni",
        "calico_vxlan_port",
        "calico_as_number",
        "calico_route_reflectors",
    ),
    "etcd": ("etcd_client_port", "etcd_peer_port"),
    "coredns": ("coredns_address", "coredns_port", "coredns_etcd_path"),
}


def dns_domain_is_legal(inventory: Inventory) -> Iterator[Fault]:
    domain = inventory.value("cluster_dns_domain")
    if domain is None:
        return
    bad = [label for label in str(domain).split(".") if not LABEL.fullmatch(label)]
    if bad or len(str(domain)) > 253:
        yield Fault(
            "cluster_dns_domain",
            domain,
            f"label {bad[0]!r} is not legal: lower-case letters, digits and hyphens, 63 at most"
            if bad
            else "a name has 253 characters at most",
        )


# --- networks --------------------------------------------------------------------------


def networks_are_well_formed(inventory: Inventory) -> Iterator[Fault]:
    for name in ("cluster_pod_cidr", "cluster_service_cidr", "flannel_network"):
        value = inventory.value(name)
        if value in (None, ""):
            continue
        try:
            network = ipaddress.ip_network(str(value))
        except ValueError as error:
            yield Fault(name, value, _network_hint(str(value), error))
            continue
        if network.version == 6:
            yield Fault(name, value, "IPv6 networks are not supported; give an IPv4 network")
        elif network.num_addresses == 1:
            meant = network.supernet(new_prefix=16)
            yield Fault(name, value, f"a single address; say how long the network's prefix is, such as {meant}")
        elif str(value) != str(network):
            yield Fault(name, value, f"write it as {network}, which every daemon reads")
        else:
            for kind, reserved in NOT_FOR_PODS.items():
                if network.overlaps(reserved):
                    yield Fault(name, value, f"holds {kind} addresses ({reserved}); take one such as 10.244.0.0/16")


def _network_hint(value: str, error: ValueError, example: str = "10.244.0.0/16") -> str:
    """What would be right in place of a text that is no network."""
    try:
        return f"host bits are set; did you mean {ipaddress.ip_network(value, strict=False)}?"
    except ValueError:
        return f"not a network such as {example} ({error})"


def _network(inventory: Inventory, name: str) -> IPv4 | None:
    """A network that a variable says; None where it says none."""
    try:
        network = ipaddress.IPv4Network(str(inventory.value(name)))
    except ValueError:
        return None
    return network if network.num_addresses > 1 else None


def _pods(inventory: Inventory) -> tuple[str, IPv4 | None]:
    """Network of the pods, and the variable that says it."""
    own = inventory.value("cluster_network") == "flannel" and inventory.value("flannel_network")
    name = "flannel_network" if own else "cluster_pod_cidr"
    return name, _network(inventory, name)


def networks_do_not_overlap(inventory: Inventory) -> Iterator[Fault]:
    (variable, pods), services = _pods(inventory), _network(inventory, "cluster_service_cidr")
    if pods and services and pods.overlaps(services):
        yield Fault("cluster_service_cidr", services, f"overlaps the pods' network {pods}; the two must be disjoint")
    for name, network in ((variable, pods), ("cluster_service_cidr", services)):
        if network:
            yield from _overlaps(inventory, name, network)


def _overlaps(inventory: Inventory, name: str, network: IPv4 | IPv6) -> Iterator[Fault]:
    """Hosts that are in a network already which is to be the pods' or the services'."""
    for host in inventory.hosts.values():
        for link, found in _foreign_networks(host, _bridges(inventory), network.version):
            if found.overlaps(network):
                remedy = f"overlaps {found}, the network of {link}; packets for it would not leave the pods' network"
                yield Fault(name, network, remedy, (host.name,))


def _bridges(inventory: Inventory) -> set[str]:
    """Bridges of the pods, of all backends: there may be a switch from one to another."""
    return {str(inventory.value(f"{backend}_bridge")) for backend in inventory.networks}


def _foreign_networks(host: Host, bridges: set[str], version: int = 4) -> Iterator[tuple[str, Any]]:
    """Networks of an IP version of the interfaces that are not the pod network's own."""
    for link, details in host.facts.get("interfaces", {}).items():
        if OWN_LINKS.fullmatch(link) or link in bridges:
            continue
        for address in details["addresses"]:
            network = ipaddress.ip_interface(address).network
            # Every interface has its own link-local network of IPv6, in which nothing is routed.
            if network.version == version and not (version == 6 and network.is_link_local):
                yield link, network


# --- addresses of the nodes ------------------------------------------------------------


def addresses_are_usable(inventory: Inventory) -> Iterator[Fault]:
    holders: dict[str, list[str]] = {}
    for host in inventory.hosts.values():
        if not host.address:
            told = host.variables.get("cluster_node_address") or None
            remedy = (
                "not an address such as 192.0.2.11"
                if told
                else "neither ansible_host nor the host's name is an address: set the one the other hosts reach it at"
            )
            yield Fault("cluster_node_address", told, remedy, (host.name,))
            continue
        holders.setdefault(host.address, []).append(host.name)
        address = ipaddress.ip_address(host.address)
        if address.version == 6:
            yield Fault(
                "cluster_node_address", address, "IPv6 underlays are not supported; give an IPv4 address", (host.name,)
            )
        elif address.is_loopback or address.is_multicast or address.is_unspecified:
            yield Fault("cluster_node_address", address, "not an address other hosts can reach", (host.name,))
        elif host.facts and not _link_of(host, host.address):
            remedy = "on none of the host's interfaces; set it to one of " + ", ".join(sorted(_addresses(host)))
            yield Fault("cluster_node_address", address, remedy, (host.name,))
    for held, names in holders.items():
        if len(names) > 1:
            yield Fault("cluster_node_address", held, "more than one host has it; each needs its own", tuple(names))


def addresses_answer(inventory: Inventory) -> Iterator[Fault]:
    names = {host.address: host.name for host in inventory.hosts.values()}
    for host in inventory.hosts.values():
        for address in host.facts.get("unreachable", ()):
            who = names.get(address, "it")
            remedy = f"{who} answers neither ICMP echo nor TCP from {host.name}; check cables, routes, firewalls"
            yield Fault("cluster_node_address", address, remedy)
        # Networks filter ICMP, and the cluster does not need it.
        for address, how in host.facts.get("without_echo", {}).items():
            remedy = f"{names.get(address, 'it')} {how}, but answers no ICMP echo from these hosts: is it filtered?"
            yield Fault("cluster_node_address", address, remedy, (host.name,), warning=True)


def _addresses(host: Host) -> set[str]:
    return {
        address.partition("/")[0]
        for link, details in host.facts.get("interfaces", {}).items()
        if not OWN_LINKS.fullmatch(link)
        for address in details["addresses"]
        if ":" not in address
    }


def _link_of(host: Host, address: str) -> tuple[str, Mapping[str, Any], IPv4] | None:
    """Interface that has an address: its name, its facts and its network."""
    for link, details in host.facts.get("interfaces", {}).items():
        for held in details["addresses"]:
            interface = ipaddress.ip_interface(held)
            if str(interface.ip) == address and isinstance(interface.network, IPv4):
                return link, details, interface.network
    return None


# --- etcd ------------------------------------------------------------------------------


def etcd_has_a_quorum(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    count = len(inventory.groups.get("etcd", ()))
    if count == 0:
        yield from _someone_runs_etcd(inventory)
    elif count % 2 == 0:
        remedy = f"an even number survives no more failures than {count - 1}; take {count - 1} or {count + 1}"
        yield Fault("groups.etcd", f"{count} members", remedy)
    elif count > 7:
        yield Fault("groups.etcd", f"{count} members", "every write waits for more than half of them; take 3 or 5")


# Network backend that keeps its state in etcd -> variable with the URLs of one that somebody else runs.
ETCD_ENDPOINTS = {"flannel": "flannel_etcd_endpoints", "calico": "calico_etcd_endpoints"}


def _someone_runs_etcd(inventory: Inventory) -> Iterator[Fault]:
    """Without members of its own a cluster may use another etcd; CoreDNS asks none unless it is given one."""
    variable = ETCD_ENDPOINTS.get(str(inventory.value("cluster_network")))
    lacking = [host.name for host in inventory.members("nodes") if variable and not host.variables.get(variable)]
    if lacking:
        remedy = f"put 1, 3 or 5 hosts into it, or set {variable} on all nodes to the URLs of an etcd that others run"
        without = () if len(lacking) == len(inventory.members("nodes")) else tuple(lacking)
        yield Fault("groups.etcd", "empty", remedy, without)


def etcd_settings_fit(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    heartbeat = integer(inventory.value("etcd_heartbeat_interval", 100))
    election = integer(inventory.value("etcd_election_timeout", 1000))
    if heartbeat and election and election < 5 * heartbeat:
        remedy = f"must be at least five times etcd_heartbeat_interval, so {5 * heartbeat} or more"
        yield Fault("etcd_election_timeout", election, remedy)


def etcd_port(inventory: Inventory) -> int | None:
    """Port of etcd for its clients, as the roles' defaults have it; None for what is no number."""
    return integer(inventory.value("etcd_client_port", inventory.value("cluster_etcd_client_port")))


def etcd_port_is_one(inventory: Inventory) -> Iterator[Fault]:
    """etcd's clients follow the variable of the cluster, so etcd must not have another one."""
    if "etcd" not in inventory.specs:
        return
    holders: dict[str, list[str]] = {}
    declared = inventory.declared("cluster_etcd_client_port")
    for host in inventory.hosts.values():
        holders.setdefault(str(host.variables.get("cluster_etcd_client_port", declared)), []).append(host.name)
    if len(holders) > 1:
        told = "; ".join(f"{value} ({', '.join(hosts)})" for value, hosts in holders.items())
        yield Fault("cluster_etcd_client_port", told, "must be the same on all hosts, since etcd's clients follow it")
        return
    (wanted,) = holders or [str(declared)]
    if not legal(integer(wanted)):
        yield Fault("cluster_etcd_client_port", wanted, NO_PORT)
        return
    for host in inventory.members("etcd"):
        own = host.variables.get("etcd_client_port", wanted)
        if legal(integer(own)) and integer(own) != integer(wanted):
            remedy = f"cluster_etcd_client_port is {wanted}, where etcd's clients look for it; set that one alone"
            yield Fault("etcd_client_port", own, remedy, (host.name,))


def clocks_agree(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    for host in inventory.hosts.values():
        skew, error = host.facts.get("clock_skew", 0.0), host.facts.get("clock_error", 0.0)
        # A slow host or network makes the measurement wrong, and not the clock.
        if abs(skew) - error > CLOCK_SKEW:
            remedy = f"TLS certificates need clocks within {CLOCK_SKEW:.0f} s of the controller's; set up NTP"
            yield Fault("clock", f"{skew:+.1f} s, measured to within {error:.1f} s", remedy, (host.name,))


# --- ports -----------------------------------------------------------------------------


def ports_are_free(inventory: Inventory) -> Iterator[Fault]:
    backend = inventory.value("flannel_backend", "vxlan")
    holders: dict[tuple[str, str, int], str] = {}
    for group, variable, default, protocol, process in PORTS:
        if not any(variable.startswith(f"{role}_") for role in inventory.specs):
            continue
        for host in inventory.members(group):
            shared = SHARED_PORTS.get(variable, variable)
            port = integer(host.variables.get(variable, host.variables.get(shared, default)))
            if not legal(port) and variable not in host.variables and shared != variable:
                continue  # told of the shared one
            if not legal(port):
                yield Fault(variable, host.variables.get(variable), NO_PORT)
                continue
            if BACKEND_PORTS.get(variable, backend) != backend:
                continue
            if variable in OPTIONAL_PORTS and not boolean(host.variables.get(OPTIONAL_PORTS[variable], False), False):
                continue
            other = holders.setdefault((host.name, protocol, port), variable)
            if other != variable:
                yield Fault(variable, port, f"{other} is the same; each needs its own", (host.name,))
            yield from takers(host, variable, port, protocol, process)


NO_PORT = "a port is a number from 1 to 65535"


def legal(port: int | None) -> TypeGuard[int]:
    """Whether it is the number of a port."""
    return port is not None and 1 <= port <= 65535


def takers(host: Host, variable: str, port: int, protocol: str, process: str) -> Iterator[Fault]:
    """The processes that keep one of ours from listening on a port."""
    for listener in host.facts.get("listeners", ()):
        if (
            (listener["protocol"], listener["port"]) == (protocol, port)
            # A socket of the kernel, such as that of a VXLAN device, has no process.
            and listener["process"] not in ("", process)
        ):
            remedy = f"taken by {listener['process']}; stop that, or choose another port"
            yield Fault(variable, f"{protocol}/{port}", remedy, (host.name,))


PORTS = (
    ("etcd", "etcd_client_port", 2379, "tcp", "etcd"),
    ("etcd", "etcd_peer_port", 2380, "tcp", "etcd"),
    ("etcd", "etcd_metrics_port", 2381, "tcp", "etcd"),
    ("nodes", "flannel_health_port", 8471, "tcp", "flanneld"),
    ("nodes", "flannel_vxlan_port", 8472, "udp", "flanneld"),
    ("nodes", "flannel_udp_port", 8285, "udp", "flanneld"),
    ("nodes", "vxlan_mesh_port", 4789, "udp", ""),
    ("nodes", "calico_health_port", 9099, "tcp", "calico-node"),
    ("nodes", "calico_vxlan_port", 4789, "udp", ""),
    ("coredns", "coredns_health_port", 8180, "tcp", "coredns"),
    ("coredns", "coredns_ready_port", 8181, "tcp", "coredns"),
    ("coredns", "coredns_metrics_port", 9153, "tcp", "coredns"),
    ("nodes", "verify_performance_port", 15201, "tcp", "iperf3"),
    # In the pods' own namespaces, where nobody else is.
    ("nodes", "verify_port", 18080, "pod", ""),
)
# What a port follows where it is not set itself.
SHARED_PORTS = {"etcd_client_port": "cluster_etcd_client_port"}
# Opened on request only.
OPTIONAL_PORTS = {"verify_performance_port": "verify_performance"}
# Opened by one of flannel's backends only.
BACKEND_PORTS = {"flannel_vxlan_port": "vxlan", "flannel_udp_port": "udp"}


# --- flannel ---------------------------------------------------------------------------


def flannel_subnets_suffice(inventory: Inventory) -> Iterator[Fault]:
    variable, pods = _pods(inventory)
    if "flannel" not in inventory.specs or pods is None:
        return
    length = integer(inventory.value("flannel_subnet_length", 24))
    # flanneld wants room for more than two subnets, and for a tunnel and a bridge in each.
    if length is None or not pods.prefixlen + 2 <= length <= 30:
        remedy = (
            f"must be from {pods.prefixlen + 2} to 30 in {pods}"
            if pods.prefixlen <= 28
            else f"no length fits {pods}; the pods' network must be a /28 or larger"
        )
        yield Fault("flannel_subnet_length", inventory.value("flannel_subnet_length", 24), remedy)
        return
    size = 2 ** (32 - length)
    bounds: dict[str, ipaddress.IPv4Address] = {}
    for name in ("flannel_subnet_min", "flannel_subnet_max"):
        value = inventory.value(name)
        if value in (None, ""):
            continue
        try:
            bounds[name] = ipaddress.IPv4Address(str(value))
        except ValueError:
            yield Fault(name, value, "not an address such as 10.244.16.0")
            return
        if bounds[name] not in pods:
            yield Fault(name, value, f"outside of the pods' network {pods}")
            return
        if int(bounds[name]) % size:
            start = ipaddress.IPv4Address(int(bounds[name]) // size * size)
            yield Fault(name, value, f"not where a /{length} begins; the one it is in begins at {start}")
            return
    # flanneld leaves the first subnet unused.
    first = int(bounds.get("flannel_subnet_min", pods.network_address + size))
    last = int(bounds.get("flannel_subnet_max", pods.broadcast_address - size + 1))
    room = (last - first) // size + 1
    needed = len(inventory.groups.get("nodes", ()))
    if room < needed:
        yield Fault(
            variable,
            pods,
            f"room for {max(room, 0)} subnets of /{length}, and there are {needed} nodes; "
            "take a larger network or a longer flannel_subnet_length",
        )


def flannel_vni_is_legal(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("flannel_vxlan_vni")
    number = integer(value)
    if value is not None and (number is None or not 1 <= number <= 16777215):
        yield Fault("flannel_vxlan_vni", value, "a VNI is a number from 1 to 16777215")


def flannel_interface_is_one(inventory: Inventory) -> Iterator[Fault]:
    if "flannel" not in inventory.specs:
        return
    for host in inventory.members("nodes"):
        wanted = host.variables.get("flannel_interface")
        if not wanted or not host.facts:
            continue
        if wanted in _addresses(host) or wanted in host.facts["interfaces"]:
            continue
        links = sorted(link for link in host.facts["interfaces"] if not OWN_LINKS.fullmatch(link))
        try:
            matches = [link for link in links if re.fullmatch(str(wanted), link)]
        except re.error as error:
            yield Fault("flannel_interface", wanted, f"not a regular expression: {error}")
            continue
        if len(matches) != 1:
            what = (
                f"matches {', '.join(matches)}; it must match one" if matches else f"matches none of {', '.join(links)}"
            )
            yield Fault("flannel_interface", wanted, what, (host.name,))


def flannel_mtu_fits(inventory: Inventory) -> Iterator[Fault]:
    mtu = integer(inventory.value("flannel_mtu", 0))
    backend = inventory.value("flannel_backend", "vxlan")
    if "flannel" not in inventory.specs or not mtu or backend not in OVERHEAD:
        return
    if mtu < SMALLEST_MTU:
        yield Fault("flannel_mtu", mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        return
    for host in inventory.members("nodes"):
        link = _link_of(host, host.address)
        if link and mtu + OVERHEAD[backend] > link[1]["mtu"]:
            yield Fault(
                "flannel_mtu",
                mtu,
                f"with {OVERHEAD[backend]} bytes of {backend} header it exceeds the {link[1]['mtu']} of {link[0]}; "
                f"take {link[1]['mtu'] - OVERHEAD[backend]} or less, or 0",
                (host.name,),
            )


def flannel_backend_fits(inventory: Inventory) -> Iterator[Fault]:
    backend = inventory.value("flannel_backend", "vxlan")
    if "flannel" not in inventory.specs:
        return
    nodes = inventory.members("nodes")
    if backend == "host-gw":
        networks = {link[2]: host.name for host in nodes if (link := _link_of(host, host.address))}
        if len(networks) > 1:
            seen = ", ".join(f"{network} ({name})" for network, name in networks.items())
            remedy = (
                f"needs all nodes in one subnet, and they are in {seen}; take vxlan with flannel_vxlan_direct_routing"
            )
            yield Fault("flannel_backend", backend, remedy)
    if backend == "ipip":
        for host in nodes:
            if host.facts and not host.facts["ipip"]:
                remedy = "this kernel has no IPIP: no tunl0, and no module ipip that could be loaded; take vxlan"
                yield Fault("flannel_backend", backend, remedy, (host.name,))
    if backend == "udp":
        for host in nodes:
            if host.facts and host.facts["architecture"] != "amd64":
                remedy = f"exists for amd64 only, and this is {host.facts['architecture']}; take vxlan"
                yield Fault("flannel_backend", backend, remedy, (host.name,))


def flannel_firewall_works(inventory: Inventory) -> Iterator[Fault]:
    if "flannel" not in inventory.specs or inventory.value("flannel_firewall", "nftables") != "nftables":
        return
    for host in inventory.members("nodes"):
        if host.facts and _numbers(host.facts["nft"]) < OLDEST_NFT:
            found = f"is {host.facts['nft']}" if host.facts["nft"] else "is missing"
            oldest = ".".join(map(str, OLDEST_NFT))
            remedy = f"flanneld needs nft {oldest} or newer for it, and it {found} here; set iptables"
            yield Fault("flannel_firewall", "nftables", remedy, (host.name,))


# --- backends without a daemon ---------------------------------------------------------


def _routed(inventory: Inventory) -> str:
    """The backend without a daemon that will run; empty where another will."""
    return next((backend for backend in ROUTED if backend in inventory.specs), "")


def pod_cidrs_suffice(inventory: Inventory) -> Iterator[Fault]:
    backend, pods = _routed(inventory), _network(inventory, "cluster_pod_cidr")
    if not backend or pods is None:
        return
    variable, names = f"{backend}_subnet_length", list(inventory.groups.get("nodes", ()))
    told = inventory.value(variable, 24)
    length = integer(told)
    if length is None or not pods.prefixlen <= length <= 30:
        remedy = (
            f"must be from {pods.prefixlen} to 30 in {pods}"
            if pods.prefixlen <= 30
            else f"no length fits {pods}; the pods' network must be a /30 or larger"
        )
        yield Fault(variable, told, remedy)
        return
    if 2 ** (length - pods.prefixlen) < len(names):
        remedy = (
            f"room for {2 ** (length - pods.prefixlen)} subnets of /{length}, and there are {len(names)} nodes; "
            f"take a larger network or a longer {variable}"
        )
        yield Fault("cluster_pod_cidr", pods, remedy)
    facts = {name: inventory.hosts[name].facts for name in names if name in inventory.hosts}
    for part, holders in pod_cidrs.doubled(pod_cidrs.held(names, facts, pods, length)).items():
        yield Fault("pod CIDR", part, pod_cidrs.DOUBLED, tuple(holders))
    missing = pod_cidrs.unknown(names, facts, pods, length)
    if missing and len(missing) < len(names):
        yield Fault("groups.nodes", ", ".join(missing), pod_cidrs.NOT_KNOWN)


def vxlan_mesh_vni_is_legal(inventory: Inventory) -> Iterator[Fault]:
    value = inventory.value("vxlan_mesh_vni")
    number = integer(value)
    if "vxlan_mesh" in inventory.specs and value is not None and (number is None or not 1 <= number <= 16777215):
        yield Fault("vxlan_mesh_vni", value, "a VNI is a number from 1 to 16777215")


def routed_mtu_fits(inventory: Inventory) -> Iterator[Fault]:
    backend = _routed(inventory)
    if not backend:
        return
    variable = f"{backend}_mtu"
    for host in inventory.members("nodes"):
        mtu, link = integer(host.variables.get(variable, 0)), _link_of(host, host.address)
        if not mtu:
            continue
        if mtu < SMALLEST_MTU:
            yield Fault(variable, mtu, f"take {SMALLEST_MTU} or more, or 0 to derive it from the underlay's")
        elif link and mtu + ROUTED[backend] > link[1]["mtu"]:
            header = f"with {ROUTED[backend]} bytes of VXLAN header it" if ROUTED[backend] else "it"
            most = link[1]["mtu"] - ROUTED[backend]
            remedy = f"{header} exceeds the {link[1]['mtu']} of {link[0]}; take {most} or less, or 0"
            yield Fault(variable, mtu, remedy, (host.name,))


def routed_masquerade_works(inventory: Inventory) -> Iterator[Fault]:
    backend = _routed(inventory)
    for host in inventory.members("nodes") if backend else ():
        variable = f"{backend}_masquerade"
        if host.facts and not host.facts["nft"] and str(host.variables.get(variable, True)).lower() == "true":
            yield Fault(variable, "true", "nftables is missing here; install it, or set false", (host.name,))


def host_routes_lead_everywhere(inventory: Inventory) -> Iterator[Fault]:
    if "host_routes" not in inventory.specs:
        return
    nodes = inventory.members("nodes")
    for host in nodes:
        link = _link_of(host, host.address)
        if not link:
            continue
        gateway = host.variables.get("host_routes_gateway") or ""
        far = [
            f"{other.name} ({other.address})"
            for other in nodes
            if other.address and ipaddress.ip_address(other.address) not in link[2]
        ]
        if not gateway and far:
            remedy = (
                f"{', '.join(far)}: outside of {link[2]}; set it to the router there that leads to their pods, "
                "or take vxlan_mesh"
            )
            yield Fault("host_routes_gateway", None, remedy, (host.name,))
        if gateway and not _is_in(gateway, link[2]):
            yield Fault(
                "host_routes_gateway", gateway, f"not an address in {link[2]}, the network of {link[0]}", (host.name,)
            )


def _is_in(text: Any, network: IPv4) -> bool:
    try:
        return ipaddress.IPv4Address(str(text)) in network
    except ValueError:
        return False


# --- certificates ----------------------------------------------------------------------


def certificates_outlive_renewal(inventory: Inventory) -> Iterator[Fault]:
    days = integer(inventory.value("certificates_days", 365))
    before = integer(inventory.value("certificates_renew_before", 30))
    if days is not None and before is not None and before >= days:
        yield Fault("certificates_renew_before", before, f"must be less than certificates_days ({days})")


def integer(value: Any) -> int | None:
    """A number; None for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


CHECKS: tuple[Check, ...] = (
    ansible_is_new_enough,
    groups_are_filled,
    hosts_can_run_it,
    services_have_a_python,
    records_are_readable,
    data_stays_where_it_is,
    sysctls_outlive_a_boot,
    variables_are_known,
    cluster_variables_are_set,
    cluster_variables_agree,
    dns_domain_is_legal,
    networks_are_well_formed,
    networks_do_not_overlap,
    addresses_are_usable,
    addresses_answer,
    etcd_has_a_quorum,
    etcd_settings_fit,
    etcd_port_is_one,
    clocks_agree,
    ports_are_free,
    flannel_subnets_suffice,
    flannel_vni_is_legal,
    flannel_interface_is_one,
    flannel_mtu_fits,
    flannel_backend_fits,
    flannel_firewall_works,
    pod_cidrs_suffice,
    vxlan_mesh_vni_is_legal,
    routed_mtu_fits,
    routed_masquerade_works,
    host_routes_lead_everywhere,
    certificates_outlive_renewal,
)
