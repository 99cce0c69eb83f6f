"""What each network backend owes: its paths in the real kernel are those it declares, and it leaves nothing behind.

Run are the tasks of the backend's own role on one of two nodes, with a stand-in for systemd. What a daemon makes is
not looked at here: flanneld is in test_flannel_node.py, and Felix needs a systemd and a datastore, as scenario calico
has them.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._backends import contract as host_contract
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract
from ansible_collections.binary_cluster.networking.tests.kernel.sandbox import Sandbox, sandbox

from tests.unit.role_templates import HOSTS, evaluate, role_variables, tasks

# A backend that keeps its state in etcd has a daemon.
BACKENDS = [name for name, backend in contract.declared().items() if not backend.etcd_endpoints]
# What is run for a role before the network is made.
BEFORE = ("preflight", "host_facts")
PODS = {"node1": "10.244.0.0/24", "node2": "10.244.1.0/24"}
PEER = host_contract.Node("node2", HOSTS["node2"], PODS["node2"])
STATE = ("/var/lib/binary_cluster", "/etc/binary_cluster", "/etc/cni/net.d", "/etc/systemd/system")
# systemd as far as a unit needs it that makes a network: it runs what the unit says, and keeps its last process.
SYSTEMCTL = r"""
lines() { sed -n "s/^$1=//p" $file 2>/dev/null; }
stop() {
    [ -e $state ] || return 0
    kill "$(cat $state)" 2>/dev/null
    lines ExecStopPost | sh -e
    rm $state
}
start() {
    [ -f $file ] && [ ! -e $state ] || return 0
    lines ExecStartPre | sh -e || exit 1
    digest=$(lines Environment | tail -n 1)
    setsid env ${digest:-NONE=} sh -c "exec $(lines ExecStart | tail -n 1)" >/dev/null 2>&1 &
    echo $! >$state
    sleep 0.2
}
verb=''
for word; do
    case $word in
    -*) continue;;
    *.service|*.path) ;;
    *) [ -z "$verb" ] && verb=$word && continue; word=$word.service;;
    esac
    file=/etc/systemd/system/$word state=/run/$word.pid
    case $verb in
    show)
        [ -f $file ] && printf 'LoadState=loaded\nUnitFileState=enabled\n'
        [ -e $state ] && printf 'ActiveState=active\nMainPID=%s\n' "$(cat $state)";;
    start) start;;
    restart) stop; start;;
    stop|disable) stop;;
    esac
done
exit 0
"""
# Bytes that a tunnel adds over IPv4 (RFC 7348; RFC 2890, with a key).
OVERHEAD = {"vxlan": 50, "gre": 28}
# A tunnel that this kernel does not have is another device here, whose neighbours have other addresses.
WITHOUT_TUNNEL = """
case "$*" in
*"type {kind}"*) exec {ip} link add {device} type vxlan id 1 dstport 4789;;
neigh*) exit 0;;
esac
exec {ip} "$@"
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Sandbox]:
    """The first node on the underlay."""
    with sandbox(tmp_path) as host:
        host.stand_in("systemctl", SYSTEMCTL)
        host.ip("link add eth0 type veth peer name eth9")
        host.ip("link set eth9 up")
        host.ip("link set eth0 up")
        host.ip(f"address add {HOSTS['node1']}/24 dev eth0")
        yield host


def expected_path(name: str) -> host_contract.Path:
    """The path to the pods of the second node, by the host's half."""
    module = importlib.import_module(f"{host_contract.__name__.rpartition('.')[0]}.{name}")
    variables = [variable for variable in role_variables(name) if variable.startswith(f"{name}_")]
    settings = {variable[len(name) + 1 :]: evaluate(name, variable, {}) for variable in variables}
    near = host_contract.in_network(ipaddress.IPv4Network(f"{HOSTS['node1']}/24", strict=False))
    path = module.HOST_BACKEND(settings, near).expected_path(PEER)
    assert isinstance(path, host_contract.Path)
    return path


def has_tunnel(node: Sandbox, path: host_contract.Path) -> bool:
    """Whether the kernel has the tunnel of a path; else something else is put in its place."""
    if not path.encapsulation:
        return True
    options = "id 1 dstport 1" if path.encapsulation == "vxlan" else f"local {HOSTS['node1']}"
    node.ip(f"link add probe type {path.encapsulation} {options}", check=False)
    there = "probe" in node.links()
    node.ip("link delete probe", check=False)
    if not there:
        real = shutil.which("ip")
        node.stand_in("ip", WITHOUT_TUNNEL.format(kind=path.encapsulation, device=path.device, ip=real))
    return there


def state(node: Sandbox) -> dict[str, Any]:
    """All that a backend may leave on a host."""
    return {
        "links": sorted(node.links()),
        "routes": node.ip("-4 route show table all").splitlines(),
        "neighbours": [line for line in node.ip("neigh show").splitlines() if "PERMANENT" in line],
        "tables": node.exec("nft", "list", "tables").splitlines(),
        "files": [node.files(directory) for directory in STATE],
    }


def applied(node: Sandbox, name: str, file: str = "main.yml", check: bool = False) -> list[Any]:
    """Results of the tasks of the role, in order."""
    return [
        node.run_module(module, options, check=check) for module, options in tasks(name, file) if module not in BEFORE
    ]


@pytest.mark.parametrize("name", BACKENDS)
def test_packets_take_the_path_that_the_backend_declares(node: Sandbox, name: str) -> None:
    path = expected_path(name)
    real = has_tunnel(node, path)
    applied(node, name)
    pod = str(ipaddress.IPv4Network(PEER.pod_cidr).network_address + 9)
    (route,) = json.loads(node.ip(f"-json route get {pod}"))
    assert path.has(route)
    assert route["dev"] == (path.device or "eth0")
    if path.encapsulation and real:
        (entry,) = json.loads(node.ip(f"-json neigh show {path.next_hop} dev {path.device}"))
        forwarded = json.loads(node.exec("bridge", "-json", "fdb", "show", "dev", path.device))
        places = {one["mac"]: one.get("dst") for one in forwarded if "dst" in one}
        assert places.get(entry["lladdr"], entry["lladdr"]) == path.remote


@pytest.mark.parametrize("name", BACKENDS)
def test_a_check_announces_what_a_run_does_and_a_second_run_changes_nothing(node: Sandbox, name: str) -> None:
    has_tunnel(node, expected_path(name))
    before = state(node)
    announced = applied(node, name, check=True)
    assert state(node) == before
    done = applied(node, name)
    keys = ("changed", "actions")
    assert [[one.get(key) for key in keys] for one in done] == [[one.get(key) for key in keys] for one in announced]
    assert any(one["changed"] for one in done)
    assert not any(one["changed"] for one in applied(node, name))


@pytest.mark.parametrize("name", BACKENDS)
def test_uninstalling_leaves_nothing(node: Sandbox, name: str) -> None:
    has_tunnel(node, expected_path(name))
    before = state(node)
    applied(node, name)
    assert state(node) != before
    applied(node, name, "uninstall.yml")
    assert state(node) == before


@pytest.mark.parametrize("name", BACKENDS)
def test_a_node_has_a_cni_configuration_that_fits_its_pods(node: Sandbox, name: str) -> None:
    has_tunnel(node, expected_path(name))
    applied(node, name)
    (file,) = node.files("/etc/cni/net.d")
    assert file.endswith(".conflist")
    conflist = json.loads(node.read(f"/etc/cni/net.d/{file}"))
    assert conflist["name"] and tuple(map(int, conflist["cniVersion"].split("."))) >= (0, 4, 0)
    assert all((Path(node.plugins) / plugin["type"]).is_file() for plugin in conflist["plugins"])
    plugin = conflist["plugins"][0]
    subnets = [one["subnet"] for ranges in plugin["ipam"]["ranges"] for one in ranges]
    assert PODS["node1"] in subnets
    assert plugin["mtu"] == 1500 - OVERHEAD.get(expected_path(name).encapsulation, 0)
