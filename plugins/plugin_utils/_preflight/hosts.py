# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What hosts and the controller must have to run what is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import file_notes
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Fault,
    Inventory,
    version_numbers,
)

ARCHITECTURES = ("amd64", "arm64")
# Words of os-release(5) for the distributions whose packages and paths the roles know.
FAMILIES = ("debian", "ubuntu")
OLDEST_PYTHON = (3, 9)
OLDEST_ANSIBLE = (2, 19)
CLOCK_SKEW = 5.0


def ansible_is_new_enough(inventory: Inventory) -> Iterator[Fault]:
    if version_numbers(inventory.ansible) < OLDEST_ANSIBLE:
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
        if version_numbers(facts["python"]) < OLDEST_PYTHON:
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
                variable, wanted, f"the data is in {old}. {file_notes.how_to_move(owner, old, wanted)}", (host.name,)
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


def clocks_agree(inventory: Inventory) -> Iterator[Fault]:
    if "etcd" not in inventory.specs:
        return
    for host in inventory.hosts.values():
        skew, error = host.facts.get("clock_skew", 0.0), host.facts.get("clock_error", 0.0)
        # A slow host or network makes the measurement wrong, and not the clock.
        if abs(skew) - error > CLOCK_SKEW:
            remedy = f"TLS certificates need clocks within {CLOCK_SKEW:.0f} s of the controller's; set up NTP"
            yield Fault("clock", f"{skew:+.1f} s, measured to within {error:.1f} s", remedy, (host.name,))
