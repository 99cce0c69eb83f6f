"""What a host's files set sysctls to after role node's own, at its next boot."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import sysctl_files

OWN = "90-binary-cluster-node.conf"


@pytest.fixture
def directories(tmp_path: Path) -> list[str]:
    """Directories in the place of sysctl.d's, the strongest first."""
    made = [tmp_path / name for name in ("etc", "run", "lib")]
    for one in made:
        one.mkdir()
    return [str(one) for one in made]


def write(directory: str, name: str, text: str) -> str:
    path = Path(directory) / name
    path.write_text(text)
    return str(path)


def test_a_later_file_is_told_and_an_earlier_one_is_not(directories: list[str]) -> None:
    write(directories[0], "10-early.conf", "net.ipv4.ip_forward = 0\n")
    write(directories[0], OWN, "net.ipv4.ip_forward = 1\n")
    later = write(directories[2], "99-late.conf", "# net.ipv4.ip_forward=1\n\n-net/ipv4/ip_forward =  0 \n")
    assert sysctl_files.read_after(OWN, directories) == {"net.ipv4.ip_forward": [later, "0"]}


def test_the_last_file_counts_and_a_name_that_is_overridden_does_not(directories: list[str]) -> None:
    write(directories[0], "98-a.conf", "net.ipv4.conf.all.rp_filter=1\n")
    last = write(directories[1], "99-b.conf", "net.ipv4.conf.all.rp_filter=0\n")
    write(directories[2], "99-b.conf", "net.ipv4.conf.all.rp_filter=2\nkernel.sysrq=0\n")
    assert sysctl_files.read_after(OWN, directories) == {"net.ipv4.conf.all.rp_filter": [last, "0"]}


def test_the_file_that_a_link_leads_to_is_told(directories: list[str], tmp_path: Path) -> None:
    meant = tmp_path / "sysctl.conf"
    meant.write_text("net.ipv4.conf.all.forwarding = 0\n")
    (Path(directories[0]) / "99-sysctl.conf").symlink_to(meant)
    (Path(directories[0]) / "99-gone.conf").symlink_to(tmp_path / "nothing")
    assert sysctl_files.read_after(OWN, directories) == {"net.ipv4.ip_forward": [str(meant), "0"]}


def test_a_link_with_a_dot_in_its_name_is_written_with_slashes(directories: list[str]) -> None:
    path = write(directories[0], "99-a.conf", "net/ipv4/conf/eth0.7/rp_filter = 1\nnet.ipv4.conf.eth0/7.arp_ignore=1\n")
    assert sysctl_files.read_after(OWN, directories) == {
        "net.ipv4.conf.eth0/7.rp_filter": [path, "1"],
        "net.ipv4.conf.eth0/7.arp_ignore": [path, "1"],
    }


def test_patterns_and_a_system_without_directories_are_left_out(directories: list[str]) -> None:
    write(directories[0], "99-a.conf", "net.ipv4.conf.*.rp_filter = 1\nno equals sign\n")
    assert sysctl_files.read_after(OWN, directories) == {}
    assert sysctl_files.read_after(OWN, ["/nowhere/sysctl.d"]) == {}
