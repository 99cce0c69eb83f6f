"""Units of all roles: none holds the boot for ever, and none has an interpreter that a host may not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import static_network
from ansible_collections.binary_cluster.networking.plugins.modules import cluster_firewall

ROOT = Path(__file__).parents[2]
UNITS = {
    **{path.name: path.read_text() for path in ROOT.glob("roles/*/templates/*.service.j2")},
    "routed pods": static_network.UNIT,
    "firewall": cluster_firewall.UNIT,
}


def test_the_units_of_all_roles_are_looked_at() -> None:
    assert {"etcd.service.j2", "flanneld.service.j2", "watch.service.j2", "health.service.j2"} < UNITS.keys()


@pytest.mark.parametrize("name", UNITS)
def test_what_waits_for_a_start_waits_five_minutes_at_most(name: str) -> None:
    # systemd's own 90 seconds count for all types but oneshot (systemd.service(5)). The end of the job ends only the
    # waiting for it (systemd.unit(5)).
    names = ("JobRunningTimeoutSec", "TimeoutStartSec")
    given = next((one for key in names for one in re.findall(rf"^{key}=(.+)$", UNITS[name], re.MULTILINE)), "90")
    assert given.isdigit() and 0 < int(given) <= 300
    assert "Type=oneshot" not in UNITS[name] or "TimeoutStartSec=" in UNITS[name]
    assert not re.search(r"^Timeout(Sec|StopSec)=(infinity|0)$", UNITS[name], re.MULTILINE)


@pytest.mark.parametrize("name", UNITS)
def test_an_interpreter_is_the_one_that_the_facts_of_the_host_name(name: str) -> None:
    assert not re.search(r"/(python3?[\d.]*|env python\S*)\b", UNITS[name])
