"""A role that is used without preflight checks the values of its variables before its first task.

The roles that run here are those of the collection with their first task alone, so that nothing can be changed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.parts[-3] for path in CHECKOUT.glob("roles/*/tasks/main.yml") if path.parts[-3] != "preflight")
INVENTORY = """
all:
  hosts:
    a.example: {ansible_host: 192.0.2.1}
    b.example: {ansible_host: 192.0.2.2}
  vars:
    ansible_connection: local
    cluster_pod_cidr: 10.244.0.0/16
    cluster_service_cidr: 10.0.0.0/24
    cluster_dns_domain: cluster.test
    cluster_certificates_directory: /srv/pki
    cluster_api_vip: 192.0.2.100
    certificates_directory: /srv/pki
    certificates_authority: etcd
    certificates_requests: []
    kubeconfig_server: https://192.0.2.100:6443
  children:
"""
GROUPS = ("nodes", "etcd", "coredns", "kube_control_plane", "api_load_balancer")
REPORT = (
    "{{ hostvars[inventory_hostname] | dict2items | selectattr('key', 'match', 'refused_') | items2dict | to_json }}"
)
ACTION = "binary_cluster.networking.preflight"
CHECK = {
    "name": "Check the variables of the role",
    "run_once": True,
    "become": False,
    "when": "__preflight_hosts is not defined",
    "tags": ["always"],
}


def first_task(role: str) -> dict[str, Any]:
    """The first task of a role: that of its first stage."""
    found: dict[str, Any] = yaml.safe_load((CHECKOUT / "roles" / role / "tasks" / "preflight.yml").read_text())[0]
    return found


def first_tasks(directory: Path) -> Path:
    """A path of collections with this one, whose roles have nothing but their first task."""
    collection = directory / "collections" / "ansible_collections" / "binary_cluster" / "networking"
    for role in ROLES:
        (collection / "roles" / role / "tasks").mkdir(parents=True)
        for part in ("defaults", "vars", "meta", "templates"):
            if (CHECKOUT / "roles" / role / part).exists():
                (collection / "roles" / role / part).symlink_to(CHECKOUT / "roles" / role / part)
        task = first_task(role)
        assert ACTION in task, f"role {role} begins with another task, which would run here"
        (collection / "roles" / role / "tasks" / "main.yml").write_text(yaml.safe_dump([task]))
    for part in ("plugins", "meta", "galaxy.yml"):
        (collection / part).symlink_to(CHECKOUT / part)
    return directory / "collections"


def run(directory: Path, roles: list[dict[str, Any]], *arguments: str) -> dict[str, str]:
    """What each of the runs of a role reports, by its key; empty where nothing is wrong."""
    tasks = [
        {
            "block": [
                {
                    "ansible.builtin.include_role": {"name": f"binary_cluster.networking.{one['role']}"},
                    "vars": one["vars"],
                }
            ],
            "rescue": [
                {
                    "ansible.builtin.set_fact": {
                        f"refused_{one['key']}": "{{ ansible_failed_task.name }}: {{ ansible_failed_result.msg }}"
                    }
                }
            ],
        }
        for one in roles
    ]
    told = {
        "ansible.builtin.copy": {"content": REPORT, "dest": str(directory / "told.json"), "mode": "0600"},
        "run_once": True,
        "check_mode": False,
    }
    groups = "".join(f"    {group}: {{hosts: {{a.example: , b.example: }}}}\n" for group in GROUPS)
    (directory / "hosts.yml").write_text(INVENTORY + groups)
    play = {"hosts": "all", "gather_facts": False, "tasks": [*tasks, told]}
    (directory / "play.json").write_text(json.dumps([play]))
    done = run_playbook(directory, "-i", "hosts.yml", "play.json", *arguments, collections=first_tasks(directory))
    # The other host of a task that runs once is out of the play where it fails.
    assert (directory / "told.json").exists(), done.stdout + done.stderr
    found = json.loads((directory / "told.json").read_text())
    return {one["key"]: found.get(f"refused_{one['key']}", "") for one in roles}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_begins_with_it(role: str) -> None:
    task = first_task(role)
    arguments = task.pop(ACTION)
    assert task == CHECK
    assert arguments in ({"role": role}, {"role": role, "all_hosts": True})


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    # Before all others, since a host with a fault is out of the play.
    "host": (
        "node",
        {"node_sysctls": "{{ {'a': '1\u2028'} if inventory_hostname == 'b.example' else {} }}"},
        "[b.example]",
    ),
    "form": ("flannel", {"flannel_etcd_prefix": "/x y"}, "flannel_etcd_prefix: /x y: must be keys"),
    "line": ("etcd", {"etcd_data_directory": "/data\nx"}, "etcd_data_directory: '/data\\nx': "),
    "unknown": ("etcd", {"ectd_data_directory": "/data"}, "did you mean etcd_data_directory?"),
    "own": ("coredns", {"coredns_cahce": 5}, "did you mean coredns_cache?"),
    "secret": ("api_load_balancer", {"api_load_balancer_vrrp_pasword": "s3cr3t"}, "vrrp_pasword: not shown: "),
    "range": ("verify", {"verify_pods_per_node": 99}, "verify_pods_per_node: 99: a number from 1 to 10"),
    "bridge": ("vxlan_mesh", {"vxlan_mesh_bridge": "../x"}, "vxlan_mesh_bridge: '../x': not the name of a link"),
    "vni": ("vxlan_mesh", {"vxlan_mesh_vni": 0}, "vxlan_mesh_vni: 0: a VNI is a number"),
    **{
        f"files_{role}": (
            role,
            {"cluster_etcd_client_files": {"ca": "/nowhere/ca.crt", "certificate": __file__, "key": __file__}},
            "cluster_etcd_client_files.ca: /nowhere/ca.crt: it cannot be read on the controller: No such file",
        )
        for role in ("calico", "coredns", "flannel")
    },
    "port": ("etcd", {"etcd_peer_port": 70000}, "etcd_peer_port: 70000: a port is a number"),
}


def test_every_role_refuses_what_preflight_refuses(tmp_path: Path) -> None:
    # Ansible's own validation takes it for 2379.
    every = [{"key": role, "role": role, "vars": {"cluster_etcd_client_port": "2_379"}} for role in ROLES]
    roles = [{"key": key, "role": role, "vars": variables} for key, (role, variables, _fault) in WRONG.items()] + every
    found = run(tmp_path, roles)
    for role in ROLES:
        begin = f"Check the variables of the role: preflight: 1 fault; role {role} has changed nothing"
        assert found[role].startswith(begin), found[role]
        assert "- cluster_etcd_client_port: 2_379: write it with the digits 0 to 9 alone" in found[role]
    for key, (_role, _variables, fault) in WRONG.items():
        assert fault in found[key], found[key]
        assert "s3cr3t" not in found[key]


def test_every_role_takes_what_is_right_and_checks_nothing_after_preflight(tmp_path: Path) -> None:
    roles = [{"key": role, "role": role, "vars": {"cluster_etcd_client_port": "2379"}} for role in ROLES]
    # A network that others set up.
    roles += [
        {"key": f"other_{role}", "role": role, "vars": {"cluster_network": "cilium"}}
        for role in ("verify", "node", "coredns", "api_load_balancer")
    ]
    # An etcd that others run, also where they call its group etcd.
    authority = Authority(str(tmp_path / "theirs"), 0)
    authority.ensure("theirs", 365)
    authority.issue(Request("client", "client", "client"), 90)
    pki = tmp_path / "theirs"
    files = {"ca": pki / "ca.crt", "certificate": pki / "client/client.crt", "key": pki / "client/client.key"}
    given: dict[str, Any] = {"cluster_etcd_client_files": {name: str(path) for name, path in files.items()}}
    # Role binaries checks its own where one of these installs what it needs.
    given["cluster_etcd_endpoints"] = ["https://192.0.2.99:2379"]
    clients = ("binaries", "calico", "coredns", "flannel")
    roles += [{"key": f"files_{role}", "role": role, "vars": given} for role in clients]
    after = {"cluster_etcd_client_port": "2_379", "__preflight_hosts": {}}
    roles.append({"key": "after", "role": "etcd", "vars": after})
    found = run(tmp_path, roles, "--check")
    assert set(found.values()) == {""}, found


# Of the machines, one is no node: its name is no address, and of the cluster it has the API's address alone.
MIXED = """
all:
  vars: {ansible_connection: local, cluster_api_vip: 192.0.2.100}
nodes:
  hosts: {a.example: {ansible_host: 192.0.2.1}, b.example: {ansible_host: 192.0.2.2}}
  vars:
    cluster_node_address: "{{ ansible_host }}"
    cluster_network: vxlan_mesh
    cluster_pod_cidr: 10.244.0.0/16
    cluster_service_cidr: 10.0.0.0/24
clients:
  hosts: {admin.example: {kubeconfig_files: [{path: /etc/kubelet.conf}]}}
"""


@pytest.mark.parametrize(
    ("role", "condition"), [("kubeconfig", "kubeconfig_files is defined"), ("vxlan_mesh", "'nodes' in group_names")]
)
def test_a_host_that_is_no_node_is_not_judged_as_one(tmp_path: Path, role: str, condition: str) -> None:
    """As site.yml runs role kubeconfig: in a play for all hosts, on those that have some."""
    task = {"ansible.builtin.include_role": {"name": f"binary_cluster.networking.{role}"}, "when": condition}
    (tmp_path / "hosts.yml").write_text(MIXED)
    (tmp_path / "play.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    done = run_playbook(tmp_path, "-i", "hosts.yml", "play.json", collections=first_tasks(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Check the variables of the role" in done.stdout
