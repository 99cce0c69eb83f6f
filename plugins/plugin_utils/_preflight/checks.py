# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Everything that can be wrong with an inventory, told before the first host changes.

:func:`check` is pure: it gets the variables and facts of all hosts and returns all faults at once,
each with the variable, its value and what would be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory.model import (
    Check,
    Fault,
    Inventory,
    variable_of,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.certificates import (
    certificates_outlive_renewal,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.etcd import (
    etcd_has_a_quorum,
    etcd_port_is_one,
    etcd_settings_fit,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.hosts import (
    ansible_is_new_enough,
    clocks_agree,
    data_stays_where_it_is,
    groups_are_filled,
    hosts_can_run_it,
    records_are_readable,
    services_have_a_python,
    sysctls_outlive_a_boot,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.networks import (
    addresses_answer,
    addresses_are_usable,
    dns_domain_is_legal,
    networks_are_well_formed,
    networks_do_not_overlap,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.ports import ports_are_free
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight.variables import (
    cluster_variables_agree,
    cluster_variables_are_set,
    values_have_their_type,
    variables_are_known,
)


def check(inventory: Inventory, further: Iterable[Check] = ()) -> list[Fault]:
    """All faults of an inventory; the same fault on several hosts counts once.

    Of a variable whose value has another type nothing else is reported, and no check sees it.
    """
    found: dict[tuple[str, str, str], Fault] = {}
    types = list(values_have_their_type(inventory))
    shapes = [fault for fault in types if not fault.general]
    bad = {(variable_of(fault.variable), *fault.hosts) for fault in shapes}
    judged = {
        host.name: replace(
            host, variables={name: value for name, value in host.variables.items() if (name, host.name) not in bad}
        )
        for host in inventory.hosts.values()
    }
    inventory, names = replace(inventory, hosts=judged), {variable_of(fault.variable) for fault in shapes}
    others = [
        *types,
        *inventory.faults,
        *(fault for one in (*CHECKS, *_of_backends(), *further) for fault in one(inventory)),
    ]
    for fault in [*shapes, *(fault for fault in others if variable_of(fault.variable) not in names)]:
        key = (fault.variable, str(fault.value), fault.remedy)
        earlier = found.get(key)
        hosts = (*earlier.hosts, *(h for h in fault.hosts if h not in earlier.hosts)) if earlier else fault.hosts
        found[key] = replace(fault, hosts=hosts)
    particular = {variable_of(fault.variable) for fault in found.values() if not fault.general and not fault.warning}
    return [fault for fault in found.values() if not (fault.general and variable_of(fault.variable) in particular)]


def _of_backends() -> Iterator[Check]:
    for backend in declared().values():
        yield from backend.checks


def is_of_variable(fault: Fault, inventory: Inventory) -> bool:
    """Whether a fault is of a variable that a host of it has: not of one that is missing, of a group, or a machine."""
    hosts = [host for host in inventory.hosts.values() if not fault.hosts or host.name in fault.hosts]
    return any(variable_of(fault.variable) in host.variables for host in hosts)


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
    certificates_outlive_renewal,
)
