"""The authority on the controller and the ones that hosts trust."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.binary_cluster.networking.plugins.action.certificates import ActionModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import authorities
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._inventory import model as inventory_model
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import (
    certificates as preflight_certificates,
)

OURS, THEIRS, THIRD = (":".join([letters] * 32) for letters in ("AA", "BB", "CC"))
TRUST_OURS = {"authorities": {"/etc/etcd/pki/ca.crt": [OURS], "/etc/flannel/pki/ca.crt": [OURS]}}
TRUST_THEIRS = {"authorities": {"/etc/etcd/pki/ca.crt": [THEIRS]}}


def told(
    authority: Sequence[str],
    facts: Mapping[str, Mapping[str, Any]],
    variables: Mapping[str, Any] | None = None,
    warning: bool = False,
    role: str = "certificates",
) -> list[str]:
    """What three nodes are refused for, or warned of."""
    shared = {"cluster_certificates_directory": "/srv/pki", **(variables or {})}
    hosts = {name: inventory_model.Host(name, shared, facts.get(name, {})) for name in ("node1", "node2", "node3")}
    inventory = inventory_model.Inventory(hosts, {}, {role: {}}, authority=authority)
    hosts_by_fault: dict[inventory_model.Fault, tuple[str, ...]] = {}
    for one in (fault for check in preflight_certificates.CHECKS for fault in check(inventory)):
        same = replace(one, hosts=())
        hosts_by_fault[same] = (*hosts_by_fault.get(same, ()), *one.hosts)
    return [str(replace(one, hosts=names)) for one, names in hosts_by_fault.items() if one.warning == warning]


def test_a_first_run_founds_an_authority() -> None:
    assert told([], {}) == []


def test_hosts_that_trust_the_controllers_authority_are_taken() -> None:
    assert told([OURS], {"node1": TRUST_OURS, "node2": TRUST_OURS}) == []


def test_hosts_that_have_the_old_and_the_new_one_are_taken() -> None:
    assert told([OURS], {"node1": {"authorities": {"/etc/etcd/pki/ca.crt": [THEIRS, OURS]}}}) == []


def test_a_controller_without_the_authority_is_refused() -> None:
    (said,) = told([], {"node1": TRUST_OURS, "node2": TRUST_OURS})
    assert said == (
        "cluster_certificates_directory: /srv/pki: there is no authority in /srv/pki/etcd, and these hosts trust "
        "AA:AA:AA:AA:AA:AA:AA:AA. Restore the directory from a backup, or copy it from the controller that set these "
        "hosts up. Only for a new authority, which stops etcd until all hosts have it, set "
        "certificates_new_authority: true [node1, node2]"
    )


def test_another_authority_is_refused_and_both_are_named() -> None:
    (said,) = told([OURS], {"node1": TRUST_OURS, "node2": TRUST_THEIRS})
    assert "the authority in /srv/pki/etcd has the SHA-256 fingerprint AA:AA:AA:AA:AA:AA:AA:AA" in said
    assert "trust BB:BB:BB:BB:BB:BB:BB:BB." in said and said.endswith(" [node2]")


def test_authorities_of_two_clusters_are_told_apart() -> None:
    third = {"authorities": {"/etc/flannel/pki/ca.crt": [THIRD]}}
    assert len(told([OURS], {"node1": TRUST_THEIRS, "node2": third})) == 2


def test_a_new_authority_that_is_wanted_is_a_warning() -> None:
    facts, wanted = {"node1": TRUST_THEIRS, "node3": TRUST_THEIRS}, {"certificates_new_authority": "yes"}
    assert told([OURS], facts, wanted) == []
    (said,) = told([OURS], facts, wanted, warning=True)
    assert "in place of BB:BB:BB:BB:BB:BB:BB:BB; etcd stops meanwhile" in said and "[node1, node3]" in said


def test_backends_that_do_without_certificates_do_not_care() -> None:
    assert told([], {"node1": TRUST_OURS}, role="vxlan_mesh") == []


def test_only_what_our_records_name_is_an_authority_of_ours(tmp_path: Path) -> None:
    records, etc = tmp_path / "state", tmp_path / "etc"
    Authority(str(etc / "etcd"), 0).ensure("etcd", 10)
    Authority(str(etc / "kubernetes"), 0).ensure("kubernetes", 10)
    ledger = Ledger("etcd", str(records))
    for path in ("etcd/ca.crt", "etcd/ca.key", "gone/ca.crt"):
        ledger.record("paths", str(etc / path), {})
    (records / "damaged.json").write_text("{")
    (records / "empty.json").write_text("[]")
    ours = str(etc / "etcd" / "ca.crt")
    assert authorities.installed(str(records)) == {ours: authorities.read(ours)}


def test_a_fingerprint_is_the_one_that_openssl_shows(tmp_path: Path) -> None:
    Authority(str(tmp_path), 0).ensure("etcd", 10)
    command = ["openssl", "x509", "-in", str(tmp_path / "ca.crt"), "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    (found,) = authorities.read(str(tmp_path / "ca.crt"))
    assert shown.rpartition("=")[2] == found


@pytest.mark.parametrize("text", ["", "nonsense", f"{authorities.BEGIN}\n%%%\n{authorities.END}\n"])
def test_what_is_no_certificate_has_no_fingerprint(text: str) -> None:
    assert authorities.fingerprints(text) == []


def test_the_role_alone_refuses_another_authority_too(tmp_path: Path) -> None:
    """Without preflight, as in a play that runs role etcd only."""
    hostvars = {
        "node1": {"ansible_facts": {"cluster_host": TRUST_THEIRS}},
        "node2": {"ansible_facts": {}},
    }
    action = ActionModule.__new__(ActionModule)

    def refuse(*hosts: str, name: str = "etcd") -> None:
        requests = [Request(host, "server", host) for host in hosts]
        action._refuse_another(name, Authority(str(tmp_path), 0), requests, {"hostvars": hostvars})

    with pytest.raises(AnsibleActionFail, match=r"there is no authority in .*these hosts trust BB:BB.* \[node1\]"):
        refuse("node2", "node1", "backup1")
    refuse("node2", "backup1")
    refuse("node1", name="another")
