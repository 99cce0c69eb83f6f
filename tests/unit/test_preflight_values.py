"""Values that would say something else in a file than they mean, or that no daemon takes: none gets there."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import values as preflight_values
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import role_options
from hypothesis import given, settings, strategies as st

from tests.unit.test_preflight import FILES, told, told_of_names

GOOD = FILES["inventories"]["good"]
BALANCERS = FILES["balancers"]["good"]
COMMAND = "\nExecStartPre=+/usr/bin/touch /root/x"


def refused(variable: str, value: Any) -> list[str]:
    """Faults that preflight reports for the variable with this value."""
    change = {"variables": {variable: value}}
    if variable.startswith("coredns_"):
        found = told_of_names(change)
    else:
        found = told(BALANCERS if variable.startswith("api_load_balancer_") else GOOD, change)
    return [fault for fault in found if fault.startswith(variable)]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("flannel_etcd_prefix", f"/x{COMMAND}"),
        ("flannel_etcd_prefix", "/x\n"),
        ("flannel_etcd_prefix", "/%n"),
        ("flannel_etcd_prefix", "/$HOME"),
        ("flannel_etcd_prefix", '/a"b'),
        ("flannel_etcd_prefix", "/a b"),
        ("flannel_etcd_prefix", "/skydns/../registry"),
        ("flannel_etcd_prefix", ""),
        ("flannel_etcd_prefix", "/calico"),
        ("flannel_etcd_prefix", "/skydns"),
        ("flannel_etcd_prefix", "/registry/flannel"),
        ("flannel_etcd_endpoints", ["https://192.0.2.1:2379 --x"]),
        ("flannel_etcd_endpoints", ["https://192.0.2.1:2379", "https://192.0.2.1:2379\\"]),
        ("flannel_etcd_endpoints", ["https://%n:2379"]),
        ("cluster_etcd_endpoints", ["http://192.0.2.1:2379"]),
        ("etcd_members", {"node1": "192.0.2.11\\"}),
        ("etcd_snapshot_count", True),
        ("etcd_data_directory", "/etc/systemd/system"),
        ("etcd_data_directory", "/root/.ssh"),
        ("etcd_data_directory", "/tmp/etcd"),
        ("etcd_data_directory", "/var/lib/binary_cluster"),
        ("etcd_data_directory", "/data/etcd/"),
        ("cluster_etcd_client_port", "2_379"),
        ("cluster_api_port", "6_443"),
        ("cluster_api_port", True),
        ("cluster_api_name", "x}"),
        ("verify_outside_name", "x, y: z"),
        ("flannel_bridge", "../x"),
        ("flannel_bridge", "a b"),
        ("flannel_bridge", "b" * 30),
        ("flannel_bridge", "cni0\n"),
        ("flannel_subnet_min", "10.244.1.0\n"),
        ("etcd_data_directory", f"/var/lib/etcd{COMMAND}"),
        ("etcd_data_directory", "/var/lib/%n"),
        ("etcd_data_directory", "/var/lib/my etcd"),
        ("etcd_data_directory", "/var/lib/../../etc"),
        ("etcd_data_directory", "lib/etcd"),
        ("etcd_data_directory", "/etc"),
        ("etcd_data_directory", "/var/lib/"),
        ("etcd_data_directory", "/"),
        ("etcd_auto_compaction_retention", "8h\nETCD_CLIENT_CERT_AUTH=false"),
        ("etcd_auto_compaction_retention", "8 h"),
        ("etcd_auto_compaction_retention", "-1h"),
        ("etcd_environment", {"ETCD_LOG_LEVEL": "warn\nETCD_CLIENT_CERT_AUTH=false"}),
        ("etcd_environment", {"ETCD_LOG_LEVEL=a\nX": "warn"}),
        ("etcd_environment", {"LD_PRELOAD": "/root/x.so"}),
        ("etcd_environment", {"ETCD_LOG_LEVEL": '"warn'}),
        ("etcd_environment", {"ETCD_LOG_LEVEL": "warn\\"}),
        ("etcd_extra_names", ["etcd.example.com\r"]),
        ("etcd_users", [{"name": "x\u202ey", "permissions": []}]),
        ("node_sysctls", {"net.core.somaxconn": "1\nkernel.core_pattern=|/root/x"}),
        ("cluster_pod_cidr", "169.254.0.0/16"),
        ("cluster_pod_cidr", "127.0.0.0/16"),
        ("cluster_pod_cidr", "224.0.0.0/16"),
        ("cluster_pod_cidr", "240.0.0.0/16"),
        ("cluster_pod_cidr", "0.0.0.0/0"),
        ("cluster_pod_cidr", "10.244.0.0/255.255.0.0"),
        ("cluster_service_cidr", "239.0.0.0/16"),
        ("cluster_service_cidr", "127.96.0.0/16"),
        ("cluster_etcd_client_port", "2379\n"),
        ("etcd_client_port", "2_379"),
        ("etcd_client_port", "٢٣٧٩"),
        ("etcd_client_port", " 2379"),
        ("etcd_client_port", "2379\n"),
        ("etcd_quota_backend_bytes", -1),
        ("etcd_heartbeat_interval", -100),
        ("etcd_snapshot_count", "-5"),
        ("flannel_mtu", 1400.5),
        ("certificates_days", -1),
        ("api_load_balancer_log_days", -1),
        ("api_load_balancer_max_connections", "8_192"),
        ("api_load_balancer_listeners", [{"port": "7_443", "backends": ["192.0.2.1:6443"]}]),
        ("api_load_balancer_backends", ["192.0.2.1:6443\n; x"]),
        ("coredns_etcd_path", "/skydns\n}"),
        ("coredns_etcd_path", ""),
        ("coredns_etcd_path", "/coreos.com"),
        ("coredns_etcd_endpoints", ["https://192.0.2.1:2379 }"]),
        ("coredns_status_address", "127.0.0.1 }"),
        ("coredns_etcd_path", "/skydns/../registry"),
        ("coredns_cache", "-30"),
        ("coredns_upstreams", ["192.0.2.53\n    log"]),
    ],
)
def test_refused_is(variable: str, value: Any) -> None:
    found = refused(variable, value)
    assert found
    # What is told is one line itself.
    assert all(fault.isprintable() for fault in found), found


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("flannel_etcd_prefix", "/coreos.com/network-2"),
        ("flannel_bridge", "br-pods.7"),
        ("etcd_data_directory", "/data"),
        ("etcd_data_directory", "/srv/disk@1/etcd"),
        ("etcd_auto_compaction_retention", "1h30m"),
        ("etcd_environment", {"GOMAXPROCS": "2"}),
        ("etcd_members", {"node1": "192.0.2.11", "node2": "2001:db8::12"}),
        ("flannel_etcd_endpoints", ["https://etcd-1.example.com:2379", "https://[2001:db8::1]:2379"]),
        ("node_sysctls", {"net.ipv4.ip_local_port_range": "32768\t60999\n"}),
        ("cluster_api_port", "6443"),
        ("cluster_notes", "of the user\nfor himself"),
        ("etcd_environment", {"ETCD_LOG_LEVEL": "warn", "ETCD_LOG_OUTPUTS": "stderr, /var/log/etcd.log", "ETCD_X": ""}),
        ("etcd_client_port", "2379"),
        ("etcd_peer_port", 2380),
        ("api_load_balancer_probe_timeout", "1.5"),
        ("certificates_days", "90"),
        ("coredns_blocks", "example.org {\n\tlog\n}"),
    ],
)
def test_nothing_is_said_of(variable: str, value: Any) -> None:
    assert refused(variable, value) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_load_balancer_vrrp_password", "s3cr3t\nx"),
        ("etcd_users", [{"name": "x", "permissions": [], "password": "s3cr3t\n"}]),
        ("etcd_environment", {"ETCD_PASSWORD": "s3cr3t'"}),
    ],
)
def test_a_secret_is_not_shown_where_it_is_refused(name: str, value: Any) -> None:
    found = refused(name, value)
    assert found
    assert not any("s3cr3t" in fault for fault in found)


TEXT_OPTIONS = [
    (role, name)
    for role in ("etcd", "flannel", "vxlan_mesh", "host_routes", "calico", "api_load_balancer", "coredns", "verify")
    for name, option in role_options.argument_spec(role).items()
    if option.get("type", "str") in ("str", "path") and name not in preflight_values.TEXTS
]


@pytest.mark.parametrize(("role", "name"), TEXT_OPTIONS)
@settings(max_examples=10, deadline=None)
@given(before=st.text(max_size=5), line=st.sampled_from("\n\r\x00\x0b\x85\u2028"), after=st.text(max_size=5))
def test_no_text_of_a_role_has_a_second_line(role: str, name: str, before: str, line: str, after: str) -> None:
    value = before + line + after
    spec = {role: role_options.argument_spec(role)}
    host = inventory_model.Host("node1", {name: value})
    inventory = inventory_model.Inventory({"node1": host}, {}, spec)
    assert any(fault.variable == name for fault in preflight_values.values_are_one_line(inventory))
