"""A typing error in the name of a variable is found, and what is the user's own is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    variables as preflight_variables,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import role_options

EVERY = {name: option for options in role_options.of_all_roles().values() for name, option in options.items()}
SPECS = {role: role_options.argument_spec(role) for role in ("preflight", "node", "etcd", "flannel", "verify")}


def faults(name: str, value: object = "x") -> list[inventory_model.Fault]:
    """What is reported of a variable of this name."""
    host = inventory_model.Host("node1", {name: value})
    return list(preflight_variables.variables_are_known(inventory_model.Inventory({"node1": host}, {}, SPECS)))


def slips(name: str) -> Iterator[str]:
    """A name with a letter left out, doubled, or swapped with the next one, at each place."""
    for place in range(len(name)):
        yield name[:place] + name[place + 1 :]
        yield name[: place + 1] + name[place:]
        yield name[:place] + name[place + 1 : place + 2] + name[place] + name[place + 2 :]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cluster_pod_cdir", "cluster_pod_cidr"),
        ("cluser_pod_cidr", "cluster_pod_cidr"),
        ("cluster_dns_upstream", "cluster_dns_upstreams"),
        ("cluster-pod-cidr", "cluster_pod_cidr"),
        ("falnnel_backend", "flannel_backend"),
        ("ectd_data_directory", "etcd_data_directory"),
        ("ectd_users", "etcd_users"),
        ("apiload_balancer_vip", "api_load_balancer_vips"),
        ("calcio_encapsulation", "calico_encapsulation"),
        ("Flannel_Backend", "flannel_backend"),
        ("etcd_data_dirctory", "etcd_data_directory"),
        ("node_sysctl", "node_sysctls"),
        ("vrify_tries", "verify_tries"),
        ("flannel_version", "binaries_versions"),
        ("etcd_backup_cron", "known are "),
    ],
)
def test_a_typing_error_is_found(name: str, meant: str) -> None:
    (fault,) = faults(name)
    assert fault.variable == name
    assert meant in fault.remedy


@pytest.mark.parametrize(
    "name",
    [
        "node_exporter_version",
        "node_version",
        "verify_ssl",
        "cluster_owner",
        "cluster_name",
        "cluster_notes",
        "cluster_api_host",
        "cluster_api_vip_2",
        "cluster_dns_address2",
        "cluster_region",
        "my_cluster_pod_cidr",
        "old_flannel_backend",
        "preflight_mode",
        "site_check_mode",
        "teardown_confirmed",
        "drift_report_directory",
        "verify_of_site",
        "bundle_directory",
        "calico_typha_replicas",
        "nginx_port",
        "ntp_servers",
        # Another role's, which does not run.
        "calico_encapsulation",
        "api_load_balancer_vips",
    ],
)
def test_nothing_is_said_of(name: str) -> None:
    assert faults(name) == []


@pytest.mark.parametrize("option", EVERY)
def test_every_slip_is_found(option: str) -> None:
    number = role_options._without_number
    for name in slips(option):
        if name not in EVERY and number(name) != number(option):
            (fault,) = faults(name)
            assert fault.variable == name


@pytest.mark.parametrize("option", [name for name in EVERY if preflight_variables.is_secret(name, EVERY)])
def test_the_value_of_a_mistyped_secret_is_not_shown(option: str) -> None:
    for name in slips(option):
        assert "s3cr3t" not in "".join(map(str, faults(name, "s3cr3t"))), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coredns_zone", [{"names": ["a.test"], "kubernetes": {"token": "s3cr3t"}}]),
        ("etcd_environmen", {"ETCD_PASSWORD": "s3cr3t"}),
        # Of a role that is not in the run: it may be the user's own.
        ("coredns_block", "s3cr3t"),
        ("cluster_api_ip", "s3cr3t"),
    ],
)
def test_a_secret_within_a_value_is_not_shown(name: str, value: object) -> None:
    (fault,) = faults(name, value)
    assert fault.value == preflight_variables.NOT_SHOWN


def test_a_secret_within_a_value_of_another_type_is_not_shown() -> None:
    host = inventory_model.Host("node1", {"etcd_environment": [{"ETCD_PASSWORD": "s3cr3t"}]})
    (fault,) = preflight_variables.values_have_their_type(inventory_model.Inventory({"node1": host}, {}, SPECS))
    assert fault.value == preflight_variables.NOT_SHOWN
