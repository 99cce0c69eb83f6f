"""Routes, masquerading and the firewall are back by themselves after others changed the host's network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing import disturbed, lab
from testing.boot import boot

OURS = ("/etc/systemd/networkd.conf.d/90-network-managers.conf", "/etc/systemd/network/05-network-managers.network")


@pytest.fixture(scope="module", autouse=True)
def rebooted() -> Iterator[None]:
    """A boot gives the host back what is flushed and set here."""
    yield
    lab.inside(disturbed.HOST, "rm -f /run/systemd/network/10-eth0.network; systemctl stop systemd-networkd")
    boot(disturbed.HOST, "host_routes", "binary-cluster-firewall", "host_routes-restore.path")


def test_what_nftables_flushes_is_loaded_again() -> None:
    for verb in ("start", "restart", "reload"):
        disturbed.comes_back("host_routes", lambda verb=verb: disturbed.flush(verb))  # type: ignore[misc]


def test_routes_that_go_with_an_address_are_added_again() -> None:
    disturbed.comes_back("host_routes", disturbed.networkd)
    disturbed.comes_back("host_routes", disturbed.reconfigure)
    disturbed.comes_back(
        "host_routes", lambda: lab.inside(disturbed.HOST, "systemctl restart systemd-networkd") and None
    )


def test_systemd_networkd_is_told_to_leave_links_and_routes_alone_while_it_runs() -> None:
    lab.inside(disturbed.HOST, "systemctl start systemd-networkd")
    wanted = {"name": "network-managers", "unmanaged": ["cni0", "veth[0-9a-f]*"]}
    assert lab.module(disturbed.HOST, "node_kernel", **wanted)["changed"]
    told = lab.inside(disturbed.HOST, f"cat {' '.join(OURS)}")
    assert "ManageForeignRoutes=no" in told and "Name=cni0 veth[0-9a-f]*\n\n[Link]\nUnmanaged=yes" in told
    assert lab.module(disturbed.HOST, "node_kernel", name="network-managers", state="absent")["changed"]
    assert (
        lab.inside(
            disturbed.HOST, f"ls {' '.join(OURS)} 2>/dev/null; ls -d /etc/systemd/networkd.conf.d 2>/dev/null; true"
        )
        == ""
    )
