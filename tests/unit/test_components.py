"""Roles declare their group, binaries, packages and ports; playbooks and other roles read it there and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.binary_cluster.networking.plugins.filter.installed_components import installed_components
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run.role_options import argument_spec

from tests.unit import role_templates
from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (CHECKOUT / "roles").iterdir())
COMPONENTS = declarations.declared()
BINARIES = yaml.safe_load((CHECKOUT / "roles" / "binaries" / "vars" / "main.yml").read_text())
EXTERNAL = ["https://192.0.2.50:2379", "https://192.0.2.51:2379"]


def texts(*folders: str) -> Iterator[tuple[Path, str]]:
    """Files of YAML and templates in folders of the checkout."""
    for folder in folders:
        for path in sorted((CHECKOUT / folder).rglob("*")):
            if path.suffix in (".yml", ".j2"):
                yield path, path.read_text()


def query(plugin: str, options: dict[str, Any], *terms: Any, more: str = "") -> Any:
    """What a lookup returns on node1 of two hosts that are in all groups."""
    asked = ", ".join([repr(f"binary_cluster.networking.{plugin}"), *map(repr, terms)]) + more
    return role_templates.evaluate("node", f"query({asked})", options)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_declaration_fits_its_role(name: str) -> None:
    component, options = COMPONENTS[name], argument_spec(name)
    assert set(component.binaries) <= BINARIES["_binaries_manifest"].keys()
    assert {one.name for one in component.packages} <= {one["name"] for one in BINARIES["_binaries_packages"]}
    assert {port.variable for port in component.ports} | set(component.cluster_wide) <= options.keys()
    assert set(component.needs) <= COMPONENTS.keys()
    conditions = [*(one.where for one in component.packages), *(one.where for one in component.ports)]
    for where in [one for one in conditions if one]:
        assert set(where.values) <= set(options[where.variable].get("choices", [True, False]))
    cluster = argument_spec("preflight")
    followed = {port.follows for port in component.ports if port.follows}
    assert set(component.reads) | followed | ({component.replaced_by} - {""}) <= cluster.keys()
    for port in component.ports:
        assert isinstance(component.port_default(port), int)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_declaration_names_the_variables_of_the_cluster_that_the_role_reads(name: str) -> None:
    words = r"(?<![\w.'\"-])cluster_(?!firewall|host)\w+"
    files = texts(*(f"roles/{name}/{folder}" for folder in ("tasks", "templates", "vars", "defaults")))
    # What is in quotes is the name in a message.
    read = {found for _path, text in files for found in re.findall(words, text)}
    assert sorted(read) == list(COMPONENTS[name].reads)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"group": "nodes", "binary": []}, "binary: there is no such key; known are name, group, "),
        ({"group": "workers"}, "group: workers: take one of nodes, etcd, coredns, api_load_balancer"),
        ({"group": "nodes", "binaries": "etcd"}, "binaries: 'etcd': must be a list"),
        ({"group": "nodes", "network": "yes"}, "network: 'yes': must be true or false"),
        ({"group": "nodes", "packages": ["nginx"]}, "packages[0]: 'nginx': must be a dictionary"),
        ({"group": "nodes", "ports": [{"variable": "x"}]}, "ports[0]: protocol: missing"),
        ({"group": "nodes", "ports": [{"variable": 1, "protocol": "tcp"}]}, "ports[0]: variable: 1: must be a text"),
        ({"packages": [{"name": "bird", "where": {"variable": "x", "value": 1}}]}, "where: value: there is no such"),
        ([], "must be a dictionary"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(data: Any, told: str) -> None:
    with pytest.raises(declarations.DeclarationError) as error:
        declarations.read("etcd", data, Path("component.yml"))
    assert str(error.value).startswith("component.yml: ")
    assert told in str(error.value)


NODES = {"certificates", "cluster_firewall", "node", "verify"}


@pytest.mark.parametrize(
    ("groups", "variables", "expected"),
    [
        ({"nodes": ["a"], "etcd": ["a"]}, {"cluster_network": "flannel"}, NODES | {"etcd", "flannel"}),
        ({"nodes": ["a"]}, {"cluster_network": "flannel"}, NODES | {"etcd", "flannel"}),
        ({"nodes": ["a"], "etcd": ["a"]}, {"cluster_network": "vxlan_mesh"}, NODES - {"certificates"} | {"vxlan_mesh"}),
        (
            {"nodes": ["a"], "coredns": ["a"]},
            {"cluster_network": "host_routes"},
            NODES | {"host_routes", "etcd", "coredns"},
        ),
        ({"nodes": ["a"]}, {"cluster_network": "calico", "cluster_etcd_endpoints": EXTERNAL}, NODES | {"calico"}),
        (
            {"nodes": ["a"]},
            {"cluster_network": "calico", "cluster_etcd_endpoints": EXTERNAL, "cluster_etcd_client_files": {"ca": ""}},
            NODES - {"certificates"} | {"calico"},
        ),
        ({"api_load_balancer": ["a"]}, {}, {"api_load_balancer"}),
        ({}, {}, NODES - {"certificates"}),
    ],
)  # fmt: skip
def test_a_cluster_has_the_components_that_its_groups_and_variables_ask_for(
    groups: dict[str, list[str]], variables: dict[str, Any], expected: set[str]
) -> None:
    assert {component.name for component in declarations.in_use(groups, variables)} == expected


def test_components_come_in_the_order_of_their_groups() -> None:
    groups = list(dict.fromkeys(component.group for component in COMPONENTS.values()))
    assert groups == [*declarations.GROUPS, ""]


@pytest.mark.parametrize(
    ("encapsulation", "packages"), [("vxlan", ["calico"]), ("ipip", ["calico", "bird"]), (None, ["calico"])]
)
def test_packages_are_those_that_the_variables_of_a_host_ask_for(
    encapsulation: str | None, packages: list[str]
) -> None:
    options = {"calico_encapsulation": encapsulation} if encapsulation else {}
    (found,) = query("components", {"cluster_network": "calico", **options}, "calico")
    assert found["packages"] == packages
    assert found["all_packages"] == ["calico", "bird"]
    assert found["hosts"] == ["node1", "node2"]


def test_a_component_of_another_cluster_is_returned_where_all_are_asked_for() -> None:
    assert query("components", {"cluster_network": "flannel"}, "calico") == []
    assert [one["name"] for one in query("components", {}, "calico", more=", in_use=false")] == ["calico"]


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        ({}, [2379, 2380]),
        ({"cluster_etcd_client_port": "3379"}, [3379, 2380]),
        ({"cluster_etcd_client_port": 3379, "etcd_client_port": 4379, "etcd_peer_port": "4380"}, [4379, 4380]),
    ],
)
def test_ports_between_hosts_are_those_that_variables_say(options: dict[str, Any], ports: list[int]) -> None:
    assert query("component_ports", options, "etcd") == [{"protocol": "tcp", "ports": ports}]
    assert query("component_ports", options, "coredns") == []


@pytest.mark.parametrize("plugin", ["components", "component_ports"])
def test_an_unknown_component_is_refused(plugin: str) -> None:
    with pytest.raises(AnsibleError, match="etc: there is no such component; known are "):
        query(plugin, {}, "etc")


@pytest.mark.parametrize("plugin", ["components", "component_ports"])
def test_the_example_of_a_lookup_works(plugin: str) -> None:
    text = (CHECKOUT / "plugins" / "lookup" / f"{plugin}.py").read_text()
    (task,) = yaml.safe_load(text.split('EXAMPLES = r"""')[1].split('"""')[0])
    expression = task["ansible.builtin.debug"]["msg"].strip().removeprefix("{{").removesuffix("}}")
    found = role_templates.evaluate("node", expression, {"cluster_network": "vxlan_mesh"})
    assert found == (
        ["cni-plugins", "etcd", "coredns"] if plugin == "components" else [{"protocol": "tcp", "ports": [2379, 2380]}]
    )


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["binary-etcd"], ["etcd"]),
        (["flanneld", "binary-flanneld"], ["flannel"]),
        (["calico-bird"], ["calico"]),
        (["vxlan_mesh", "binary-cluster-node"], ["node", "verify", "vxlan_mesh"]),
        (["kubeconfig", "packages", "directories"], ["kubeconfig"]),
        (["api-load-balancer-nginx"], ["api_load_balancer"]),
        ([], []),
    ],
)  # fmt: skip
def test_what_is_installed_is_read_from_the_install_record(records: list[str], found: list[str]) -> None:
    assert installed_components(records) == found


@pytest.mark.parametrize("role", ROLES)
def test_variables_that_are_internal_to_a_role_are_used_by_it_alone(role: str) -> None:
    word = re.compile(rf"(?<!\w)_{role}_\w+")
    # The role whose name is the longest is whose variable it is, as with cni and cni_plugins.
    longer = tuple(f"_{other}_" for other in ROLES if other.startswith(f"{role}_"))
    own = CHECKOUT / "roles" / role
    users = {
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path, text in texts("playbooks", "roles")
        if not path.is_relative_to(own)
        for name in word.findall(text)
        if not name.startswith(longer or ("\0",))
    }
    # What a playbook sets for the role that it runs is an argument of it.
    assert users - {"playbooks/site.yml: _preflight_unreachable"} == set()


def test_no_playbook_loads_variables_of_a_role() -> None:
    for path, text in texts("playbooks"):
        for play in yaml.safe_load(text) or ():
            files = play.get("vars_files", []) if isinstance(play, dict) else []
            assert [name for name in files if "roles/" in name] == [], path


@pytest.mark.parametrize("inventory", [(), ("-i", str(CHECKOUT / "inventories" / "example"))])
def test_site_is_checked_for_syntax_with_and_without_an_inventory(inventory: tuple[str, ...], tmp_path: Path) -> None:
    done = run_playbook(tmp_path, "--syntax-check", *inventory, str(CHECKOUT / "playbooks" / "site.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("role", ["flannel", "calico", "coredns"])
def test_clients_use_the_etcd_that_others_run(role: str) -> None:
    variable = f"{role}_etcd_endpoints"
    assert role_templates.evaluate(role, variable, {"cluster_etcd_endpoints": EXTERNAL}) == EXTERNAL
    inside = [f"https://{address}:2379" for address in role_templates.HOSTS.values()]
    assert role_templates.evaluate(role, variable, {}) == inside
    assert role_templates.evaluate(role, variable, {"cluster_etcd_endpoints": []}) == inside
    own = ["https://192.0.2.99:2379"]
    assert role_templates.evaluate(role, variable, {"cluster_etcd_endpoints": EXTERNAL, variable: own}) == own


@pytest.mark.parametrize(
    ("role", "template", "expected"),
    [
        ("flannel", "flanneld.service.j2", f"--etcd-endpoints={','.join(EXTERNAL)}"),
        ("calico", "felix.env.j2", f"FELIX_ETCDENDPOINTS={','.join(EXTERNAL)}"),
        ("calico", "calicoctl.cfg.j2", ",".join(EXTERNAL)),
        ("coredns", "zones.yml.j2", f'endpoints: ["{EXTERNAL[0]}", "{EXTERNAL[1]}"]'),
    ],
)
def test_daemons_are_configured_for_the_etcd_that_others_run(role: str, template: str, expected: str) -> None:
    text = role_templates.render(role, template, {"cluster_etcd_endpoints": EXTERNAL})
    assert expected in text
