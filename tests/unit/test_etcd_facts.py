"""What host_facts tells of the member of etcd on a host."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.modules import host_facts

ENVIRONMENT = """\
# Ansible managed
ETCD_NAME="cp-1"
ETCD_DATA_DIR=/srv/etcd
ETCD_INITIAL_ADVERTISE_PEER_URLS=https://192.0.2.11:2380
ETCD_LISTEN_CLIENT_URLS=https://192.0.2.11:2379,https://127.0.0.1:2379
ETCD_ADVERTISE_CLIENT_URLS=https://192.0.2.11:2379
"""


def test_the_member_is_as_its_configuration_has_it(tmp_path: Path) -> None:
    path = tmp_path / "etcd.env"
    path.write_text(ENVIRONMENT)
    assert host_facts.etcd_member(str(path)) == {
        "member": {
            "name": "cp-1",
            "peer_url": "https://192.0.2.11:2380",
            "client_url": "https://192.0.2.11:2379",
        },
        "data_directory": "/srv/etcd",
    }


def test_there_is_none_without_a_configuration_or_with_a_part_of_one(tmp_path: Path) -> None:
    path = tmp_path / "etcd.env"
    assert host_facts.etcd_member(str(path)) == {}
    path.write_text("ETCD_NAME=cp-1\n")
    assert host_facts.etcd_member(str(path)) == {}
