"""The module calico_resource against calicoctl and etcd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.tests.kernel.calico_datastore import Datastore, datastore
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host


def item(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


POOL = item("IPPool", "pods", {"cidr": "10.244.0.0/16", "vxlanMode": "Always", "natOutgoing": False})
NODE = item("Node", "n1", {"bgp": {"ipv4Address": "192.0.2.11/24", "asNumber": "1.10"}}, labels={"rack": "a"})
POLICY = item(
    "GlobalNetworkPolicy",
    "web",
    {
        "selector": "role == 'web'",
        "order": 0,
        "doNotTrack": False,
        "ingress": [
            {
                "action": "Allow",
                "protocol": "TCP",
                "source": {"nets": ["192.0.2.0/24"]},
                "destination": {"ports": ["80", "81:81", "8000:8080"]},
            }
        ],
    },
)
# Every kind, each with what Calico writes in another way.
ALL = [
    POOL,
    NODE,
    POLICY,
    item("IPReservation", "kept", {"reservedCIDRs": ["10.244.0.0/30"]}),
    item("BGPConfiguration", "default", {"nodeToNodeMeshEnabled": False, "asNumber": "64512"}),
    item("BGPFilter", "none", {"importV4": [{"action": "Reject", "matchOperator": "In", "cidr": "10.0.0.0/8"}]}),
    item("FelixConfiguration", "default", {"failsafeInboundHostPorts": [], "routeRefreshInterval": "90s"}),
    item("BGPPeer", "router", {"peerIP": "192.0.2.1", "asNumber": 64513, "maxRestartTime": "90s"}),
    item("Profile", "net", {"ingress": [{"action": "Allow"}], "labelsToApply": {"net": ""}}),
    item("GlobalNetworkSet", "offices", {"nets": ["198.51.100.0/24"]}),
    item("NetworkSet", "offices", {"nets": ["198.51.100.0/24"]}, namespace="default"),
    item("NetworkPolicy", "out", {"egress": [{"action": "Allow", "protocol": "6"}]}),
    item("HostEndpoint", "n1-eth0", {"node": "n1", "interfaceName": "eth0", "expectedIPs": []}),
]


@pytest.fixture
def calico(host: Host, tmp_path: Path) -> Iterator[Datastore]:
    with datastore(host, tmp_path) as made:
        yield made


def actions(calico: Datastore, resources: list[dict[str, Any]], **options: Any) -> list[str]:
    result = calico.run_module("calico_resource", resources=resources, **options)
    done: list[str] = result["actions"]
    assert result["changed"] == bool(done)
    return done


def test_every_kind_is_previewed_made_and_left_alone_and_removed(calico: Datastore) -> None:
    foretold = actions(calico, ALL, check=True)
    assert len(foretold) == len(ALL)
    assert calico.names("IPPool") == []
    assert actions(calico, ALL) == foretold
    assert actions(calico, ALL) == []
    assert calico.spec("FelixConfiguration", "default")["routeRefreshInterval"] == "1m30s"
    assert actions(calico, ALL, state="absent") == [line.replace("create", "delete") for line in reversed(foretold)]
    assert actions(calico, ALL, state="absent") == []


def test_a_nodes_tunnel_address_outlives_a_change_of_its_own(calico: Datastore) -> None:
    actions(calico, [NODE])
    calico.ctl("patch", "node", "n1", "-p", '{"spec": {"ipv4VXLANTunnelAddr": "10.244.9.0"}}')
    moved = item("Node", "n1", {"bgp": {"ipv4Address": "192.0.2.99/24"}}, labels={"rack": None})
    assert actions(calico, [moved]) == ["patch Node n1"]
    assert actions(calico, [moved]) == []
    assert calico.spec("Node", "n1") == {
        "bgp": {"ipv4Address": "192.0.2.99/24", "asNumber": 65546},
        "ipv4VXLANTunnelAddr": "10.244.9.0",
    }


def test_what_a_policy_no_longer_names_is_gone_from_it(calico: Datastore) -> None:
    actions(calico, [POLICY])
    shorter = item("GlobalNetworkPolicy", "web", {"selector": "role == 'web'", "egress": [{"action": "Allow"}]})
    assert actions(calico, [shorter]) == ["replace GlobalNetworkPolicy web"]
    assert actions(calico, [shorter]) == []
    spec = calico.spec("GlobalNetworkPolicy", "web")
    assert (spec["types"], "ingress" in spec, "order" in spec) == (["Egress"], False, False)


def test_a_dropped_policy_goes_and_those_of_others_stay(calico: Datastore) -> None:
    foreign = item("GlobalNetworkPolicy", "foreign", {"selector": "all()", "order": 9})
    purge = {"purge_label": {"owner": "site"}, "purge_kinds": ["GlobalNetworkPolicy", "HostEndpoint"]}
    actions(calico, [foreign])
    actions(calico, [NODE, POLICY, ALL[-1]], **purge)
    assert actions(calico, [NODE], **purge) == ["delete HostEndpoint n1-eth0", "delete GlobalNetworkPolicy web"]
    assert calico.names("GlobalNetworkPolicy") == ["foreign"]


def test_an_unknown_field_is_refused_with_its_place_before_anything_is_written(calico: Datastore) -> None:
    wrong = item("GlobalNetworkPolicy", "web", {"selector": "all()", "ingress": [{"action": "Allow", "prots": [1]}]})
    for check in (True, False):
        result = calico.run_module("calico_resource", resources=[POOL, wrong], check=check, failing=True)
        assert result["msg"].startswith("resources[1].spec.ingress[0].prots: ")
    assert calico.names("IPPool") == []


def test_a_refusal_in_the_middle_undoes_what_was_done(calico: Datastore) -> None:
    actions(calico, [POOL, NODE])
    before = [calico.spec("IPPool", "pods"), calico.spec("Node", "n1")]
    wrong = item("GlobalNetworkPolicy", "web", {"selector": "role =="})
    changed = [
        item("IPPool", "pods", {"vxlanMode": "CrossSubnet", "natOutgoing": True}),
        item("Node", "n1", {"bgp": {"routeReflectorClusterID": "1.0.0.1", "asNumber": None}}),
        item("Profile", "net", {"ingress": [{"action": "Allow"}]}),
    ]
    result = calico.run_module("calico_resource", resources=[*changed, wrong], failing=True)
    assert result["msg"].startswith("resources[3]: create GlobalNetworkPolicy web: ")
    assert "Selector = 'role =='" in result["msg"]
    assert [calico.spec("IPPool", "pods"), calico.spec("Node", "n1")] == before
    assert "net" not in calico.names("Profile")


def test_a_datastore_that_does_not_answer_is_told_and_in_check_mode_counts_as_empty(host: Host, tmp_path: Path) -> None:
    silent = Datastore(host, tmp_path)
    result = silent.run_module("calico_resource", resources=[POOL], timeout=2, failing=True)
    assert result["msg"].startswith("no answer in 2 s; is the datastore that ")
    result = silent.run_module("calico_resource", resources=[POOL], timeout=2, check=True)
    assert result["actions"] == ["create IPPool pods"]
