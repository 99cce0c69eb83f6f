"""What others do to a host's network and firewall while it is in use, and what is back by itself afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable

from testing import lab

HOST = "worker-2.lab.example"
# The machine's own network, as systemd-networkd has it on a server, and what it does not have as a container.
NETWORKD = """[Match]
Name=eth0

[Network]
Address={address}/24
Gateway={gateway}
LinkLocalAddressing=no
IPv6AcceptRA=no
"""
SECONDS = 5


def applied(network: str) -> str:
    """What a host has of the pod network and of the firewall."""
    shown: str = lab.inside(
        HOST,
        "for family in -4 -6; do for owner in 145 146; do ip $family route show proto $owner; done; done;"
        f" for table in {network} binary_cluster; do nft --stateless list table inet $table 2>&1; done; true",
    )
    return shown


def comes_back(network: str, disturb: Callable[[], None]) -> None:
    """Do something to a host, and wait until it has what it had."""
    before = applied(network)
    assert "Error" not in before and before.startswith("10.244."), before
    disturb()
    until = time.monotonic() + SECONDS
    while (now := applied(network)) != before and time.monotonic() < until:
        time.sleep(0.1)
    assert now == before


def flush(verb: str) -> None:
    """Have nftables.service do something that flushes all tables; a table of nobody's shows that it did."""
    lab.inside(HOST, f"nft add table inet flushed && systemctl {verb} nftables && ! nft list table inet flushed 2>&1")


def networkd() -> None:
    """Have systemd-networkd configure the interface of the underlay from now on, without a wait for it at boot."""
    network = NETWORKD.format(address=lab.address(HOST), gateway=f"{lab.variable(HOST, 'lab_subnet')}.1")
    lab.inside(
        HOST,
        f"mkdir -p /run/systemd/network && printf '{network}' > /run/systemd/network/10-eth0.network"
        " && systemctl start systemd-networkd && networkctl --help >/dev/null",
    )
    settled()


def settled() -> None:
    """Wait until systemd-networkd has configured the interface."""
    lab.inside(
        HOST,
        "for try in $(seq 50); do networkctl list eth0 | grep -q ' configured' && exit; sleep 0.1; done; exit 1",
    )


def reconfigure(command: str = "networkctl reconfigure eth0") -> None:
    """Have systemd-networkd set the address again; a route of nobody's shows that the kernel dropped them all."""
    route = f"203.0.113.0/24 via {lab.address(lab.names()[0])} proto 77"
    lab.inside(HOST, f"ip route add {route} && {command}")
    lab.inside(HOST, "for try in $(seq 50); do ip route show proto 77 | grep -q . || exit 0; sleep 0.1; done; exit 1")
    settled()
