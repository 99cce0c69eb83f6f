# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""The authority on the controller against the one that hosts trust.

A controller without the directory of the cluster's authority would make another one. Hosts of which some have the
old and some the new authority do not talk to each other: etcd stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import authorities
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import etcd_client
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Checks,
    Fault,
    Inventory,
    integer,
)

CHECKS = Checks("certificates")
# Made where nothing needs the controller's authority, too: in every run of preflight, and by the clients' roles alone.
CLIENTS = (name for name, backend in declared().items() if backend.etcd_endpoints)
ALWAYS = Checks("binaries", "coredns", *CLIENTS)
AUTHORITY = "etcd"


@CHECKS
def hosts_trust_this_authority(inventory: Inventory) -> Iterator[Fault]:
    directory = inventory.value("cluster_certificates_directory")
    if not directory:
        return
    wanted = boolean(inventory.value("certificates_new_authority", False), strict=False)
    for host in inventory.hosts.values():
        for found in authorities.others(AUTHORITY, inventory.authority, host.facts.get("authorities", {})):
            if wanted:
                remedy = f"hosts get this authority in place of {authorities.short(found)}; etcd stops meanwhile"
                yield Fault("certificates_new_authority", "true", remedy, (host.name,), warning=True)
            else:
                remedy = another(f"{directory}/{AUTHORITY}", inventory.authority, found)
                yield Fault("cluster_certificates_directory", directory, remedy, (host.name,))


@ALWAYS
def files_of_another_etcd_are_usable(inventory: Inventory) -> Iterator[Fault]:
    # A role that is used alone may be in an inventory whose group etcd is that of others.
    own = not inventory.of_one_role and inventory.groups.get("etcd")
    for host in inventory.hosts.values():
        for variable in (etcd_client.VARIABLE, "cluster_etcd_endpoints"):
            if host.variables.get(variable) and own:
                remedy = (
                    "it is for an etcd that is not of the inventory, which has a group etcd; take one of the two away"
                )
                yield Fault(variable, "set", remedy, (host.name,))
        given = host.variables.get(etcd_client.VARIABLE)
        if given and not own:
            for place, value, remedy in etcd_client.faults(given):
                yield Fault(place, value, remedy, (host.name,))


def another(directory: str, known: Sequence[str], found: str) -> str:
    """What is wrong with an authority of the controller that hosts do not trust, and what to do.

    ``known`` are the fingerprints of the controller's; ``found`` is that of the one the hosts trust.
    """
    has = (
        f"the authority in {directory} has the SHA-256 fingerprint {authorities.short(known[0])}"
        if known
        else f"there is no authority in {directory}"
    )
    return (
        f"{has}, and these hosts trust {authorities.short(found)}. Restore the directory from a backup, or copy it "
        "from the controller that set these hosts up. Only for a new authority, which stops etcd until all hosts have "
        "it, set certificates_new_authority: true"
    )


CHECKS += ALWAYS


def certificates_outlive_renewal(inventory: Inventory) -> Iterator[Fault]:
    days = integer(inventory.value("certificates_days", 365))
    before = integer(inventory.value("certificates_renew_before", 30))
    if days is not None and before is not None and before >= days:
        yield Fault("certificates_renew_before", before, f"must be less than certificates_days ({days})")
