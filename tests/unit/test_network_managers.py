"""What keeps systemd-networkd and NetworkManager from the links and routes of pods is there where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import network_managers
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError


def answers(*yes: tuple[str, str]) -> Callable[[Sequence[str]], tuple[int, str, str]]:
    """A systemctl that says yes to these questions about units."""
    return lambda words: (0 if (words[1], words[-1]) in yes else 3, "", "")


def files(*yes: tuple[str, str], interfaces: Sequence[str] = ("cni0", "veth*")) -> dict[str, str]:
    found = network_managers.entries(answers(*yes), "node", interfaces)
    assert {(entry.kind, entry.mode) for entry in found} <= {("file", 0o644)}
    return {entry.path: entry.data.decode() for entry in found}


def test_a_host_without_either_gets_no_files() -> None:
    assert files() == {}


@pytest.mark.parametrize("question", ["is-active", "is-enabled"])
def test_systemd_networkd_leaves_routes_of_others_and_the_links_of_pods_alone(question: str) -> None:
    assert files((question, "systemd-networkd.service")) == {
        "/etc/systemd/networkd.conf.d/90-node.conf": "# Ansible managed\n[Network]\nManageForeignRoutes=no\n",
        "/etc/systemd/network/05-node.network": (
            "# Ansible managed\n[Match]\nName=cni0 veth*\n\n[Link]\nUnmanaged=yes\n"
        ),
    }


@pytest.mark.parametrize("question", ["is-active", "is-enabled"])
def test_networkmanager_leaves_the_links_of_pods_alone(question: str) -> None:
    assert files((question, "NetworkManager.service")) == {
        "/etc/NetworkManager/conf.d/90-node.conf": (
            "# Ansible managed\n[device-node]\nmatch-device=interface-name:cni0;interface-name:veth*\nmanaged=0\n"
        )
    }


def test_networkmanager_gets_the_patterns_that_it_knows() -> None:
    found = files(("is-active", "NetworkManager.service"), interfaces=["veth[0-9a-f][0-9a-f]", "cali*"])
    assert (
        "match-device=interface-name:veth??;interface-name:cali*\n" in found["/etc/NetworkManager/conf.d/90-node.conf"]
    )


def test_without_interfaces_both_stay_as_they_are() -> None:
    both = (("is-active", "systemd-networkd.service"), ("is-active", "NetworkManager.service"))
    assert files(*both, interfaces=()) == {}


@pytest.mark.parametrize("name", ["", "a b", "a;b", "a\n", "%i", "!eth0", "a,b"])
def test_a_name_that_would_be_several_or_something_else_is_refused(name: str) -> None:
    with pytest.raises(TaskError, match=r"^unmanaged\[1\]: .*: not the name of an interface"):
        files(interfaces=["cni0", name])
