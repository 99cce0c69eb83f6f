"""What a run of site.yml leaves behind where names are served, from every source but Kubernetes."""

from __future__ import annotations

import json

import pytest
from testinfra.host import Host

from testing import lab, names
from testing.runs import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_check_mode_announces_exactly_what_the_run_changes,  # noqa: F401
)

testinfra_hosts = ["ansible://coredns"]

# Each source by itself, and where several hold names of one zone, through the others.
EXPECTED = {
    # from cluster variables
    "kubernetes.default.svc.cluster.local A": ["NOERROR", "10.0.0.1"],
    "kubernetes.default.svc.cluster.local AAAA": ["NOERROR"],
    "_https._tcp.kubernetes.default.svc.cluster.local SRV": [
        "NOERROR", "0 100 443 kubernetes.default.svc.cluster.local",
    ],
    "api.cluster.local A": ["NOERROR", "192.168.221.100"],
    "worker-2.lab.example.cluster.local A": ["NOERROR", "192.168.221.12"],
    "1.0.0.10.in-addr.arpa PTR": ["NOERROR", "kubernetes.default.svc.cluster.local"],
    # by rule
    "10-244-7-5.pod.cluster.local A": ["NOERROR", "10.244.7.5"],
    "10-244-7-5.pod.cluster.local AAAA": ["NOERROR"],
    "5.7.244.10.in-addr.arpa PTR": ["NOERROR", "10-244-7-5.pod.cluster.local"],
    "10-99-7-5.pod.cluster.local A": ["NXDOMAIN"],
    "10-244-7-256.pod.cluster.local A": ["NXDOMAIN"],
    # records of the inventory
    "storage.cluster.local A": ["NOERROR", "192.0.2.31", "192.0.2.32"],
    "storage.cluster.local AAAA": ["NOERROR", "2001:db8::31"],
    "files.cluster.local CNAME": ["NOERROR", "storage.cluster.local"],
    "files.cluster.local A": ["NOERROR", "192.0.2.31", "192.0.2.32"],
    "_nfs._tcp.cluster.local SRV": ["NOERROR", "10 100 2049 storage.cluster.local"],
    "about.cluster.local TXT": ["NOERROR", 'the "lab"; made by molecule'],
    "31.0.0.10.in-addr.arpa PTR": ["NOERROR", "storage.cluster.local"],
    # a zone file, with a raw line beside it, and a raw block
    "www.example.com A": ["NOERROR", "192.0.2.80"],
    "x.whoami.lab A": ["NOERROR"],
    # forwarding: for all names, and for a domain over TLS past a dead server
    "www.example.org A": ["NOERROR", "192.0.2.180"],
    "www.example.net A": ["NOERROR", "192.0.2.190"],
    "no-such-name.cluster.local A": ["NXDOMAIN"],
}  # fmt: skip


def test_the_role_costs_a_host_two_tasks() -> None:
    second = lab.runs()[1]
    tasks = [
        task for task in second["tasks"] if task["role"].endswith("coredns") and task["host"] == "worker-2.lab.example"
    ]
    assert len([task for task in tasks if task["outcome"] != "skipped"]) <= 2, tasks


@pytest.fixture(scope="module")
def pod(request: pytest.FixtureRequest) -> str:
    """A pod on worker-3.lab.example: its network namespace."""
    made = lab.module("worker-3.lab.example", "cni_attachment", netns="asker")
    assert made["result"]["dns"] == {
        "nameservers": ["10.0.0.2"], "domain": "cluster.local", "search": ["cluster.local"],
    }  # fmt: skip
    request.addfinalizer(lambda: lab.module("worker-3.lab.example", "cni_attachment", netns="asker", state="absent"))
    return "asker"


def test_every_source_answers_a_pod(pod: str) -> None:
    # The block with the raw access list admits pods.
    assert names.answers("worker-3.lab.example", *EXPECTED, namespace=pod) == EXPECTED


def test_a_raw_line_works_beside_the_sources() -> None:
    # The access list admits the host's own link, and not its other addresses.
    asked = names.answers("cp-1", "www.example.com A", server="192.168.221.11")
    assert asked == {"www.example.com A": ["REFUSED"]}


def test_verify_asked_from_every_pod_over_udp_and_tcp() -> None:
    report = lab.connectivity()
    assert report["ok"]
    asked = {
        (pair["source"], pair["target"], pair["protocol"])
        for pair in report["pairs"]
        if pair["protocol"].startswith("dns")
    }
    for node in lab.names("nodes"):
        expected = {
            "kubernetes.default.svc.cluster.local", "1.0.0.10.in-addr.arpa", f"{node}.cluster.local",
            "www.example.org", "no-such-name.cluster.local",
        }  # fmt: skip
        assert {target for source, target, kind in asked if source == node and kind == "dns"} == expected
        assert {target for source, target, kind in asked if source == node and kind == "dns-tcp"} == expected


def test_the_daemon_has_one_capability_and_is_sandboxed(host: Host) -> None:
    shown = dict(line.split("=", 1) for line in host.run("systemctl show coredns").stdout.splitlines())
    assert shown["User"] == "coredns"
    assert shown["CapabilityBoundingSet"] == shown["AmbientCapabilities"] == "cap_net_bind_service"
    assert shown["NoNewPrivileges"] == "yes" and shown["ProtectSystem"] == "strict"
    exposure = host.run("systemd-analyze security coredns --no-pager").stdout.splitlines()[-1]
    assert float(exposure.split("coredns.service:")[1].split()[0]) < 2.5, exposure


def test_keys_can_be_read_by_the_daemon_and_not_written(host: Host) -> None:
    key = host.file("/etc/coredns/pki/etcd.key")
    assert (key.user, key.group, key.mode) == ("root", "coredns", 0o640)
    assert host.file("/etc/coredns/pki").mode == 0o750


def test_it_listens_where_it_was_told_and_nowhere_else(host: Host) -> None:
    sockets = host.run("ss -H -lnutp").stdout.splitlines()
    bound = {line.split()[4] for line in sockets if '"coredns"' in line}
    also = {"192.168.221.11:53"} if host.backend.get_hostname() == "cp-1" else set()
    assert bound == {"10.0.0.2:53", "127.0.0.1:8180", "127.0.0.1:8181", "127.0.0.1:9153", *also}


def test_health_ready_and_metrics_answer(host: Host) -> None:
    program = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:{}', timeout=5).read().decode())"
    assert "OK" in host.run(f'python3 -c "{program.format("8180/health")}"').stdout
    assert "OK" in host.run(f'python3 -c "{program.format("8181/ready")}"').stdout
    assert "coredns_dns_requests_total" in host.run(f'python3 -c "{program.format("9153/metrics")}"').stdout


def test_hosts_resolve_as_they_were_told() -> None:
    said = lab.inside(
        "cp-1", "resolvectl query kubernetes.default.svc.cluster.local; resolvectl default-route coredns0"
    )
    assert "10.0.0.1" in said and "no" in said.splitlines()[-1]
    assert "kubernetes.default.svc" in lab.inside("cp-1", "resolvectl query 10.0.0.1")
    found = lab.inside(
        "worker-2.lab.example", "getent hosts worker-3.lab.example.cluster.local worker-3.lab.example www.example.org"
    )
    assert "192.168.221.13" in found and "192.0.2.180" in found
    before = "nameserver 127.0.0.11\n"
    resolver = lab.inside("worker-2.lab.example", "cat /etc/resolv.conf")
    assert resolver.index("nameserver 10.0.0.2") < resolver.index(before)
    assert "10.0.0.2" not in lab.inside("worker-3.lab.example", "cat /etc/resolv.conf")


def test_only_the_hosts_own_names_are_asked_of_coredns_by_resolved() -> None:
    # Names of the world outside still go where they went: to the servers of resolv.conf.
    status = lab.inside("cp-1", "resolvectl status")
    assert "DNS Servers: 127.0.0.11" in status or "DNS Servers 127.0.0.11" in status


def test_the_version_tells_which_configuration_runs(host: Host) -> None:
    corefile = host.file("/etc/coredns/Corefile").content_string
    assert f"chaos {lab.inside(host.backend.get_hostname(), VERSION).strip()}" in corefile


VERSION = (
    "python3 -c \"import socket; s=socket.create_connection(('10.0.0.2',53),5); "
    r"q=bytes.fromhex('123401000001000000000000')+b'\x07version\x04bind\x00\x00\x10\x00\x03'; "
    "s.sendall(len(q).to_bytes(2,'big')+q); print(s.recv(512)[-16:].decode())\""
)


# Asks for a name over UDP, and says with which code (RFC 1035, section 4.1.1) the answer came.
ASK = (
    'python3 -c "import socket; s=socket.socket(type=socket.SOCK_DGRAM); s.settimeout(5); '
    "q=bytes.fromhex('123401000001000000000000')+b''.join(bytes([len(p)])+p for p in b'{name}'.split(b'.'))"
    "+bytes.fromhex('0000010001'); s.sendto(q,('{server}',53)); print(s.recv(512)[3] & 15)\""
)


@pytest.mark.parametrize("name", ["www.example.org", "kubernetes.default.svc.cluster.local", "version.bind"])
def test_a_machine_that_is_no_node_is_refused(name: str) -> None:
    """It has a route to the server, which answers at an address of the host's own too."""
    node = lab.names("coredns")[0]
    server = lab.address(node)
    lab.inside("outside", f"ip route add 10.0.0.2/32 via {server}")
    try:
        for address in ("10.0.0.2", server):
            assert lab.inside("outside", ASK.format(name=name, server=address)).strip() == "5"
            assert lab.inside(node, ASK.format(name=name, server=address)).strip() != "5"
    finally:
        lab.inside("outside", f"ip route del 10.0.0.2/32 via {server}")


def test_bad_input_is_told_at_once_and_nothing_changes() -> None:
    bad = {
        "cluster_dns_address": "10.244.0.2",
        "cluster_dns_domain": "cluster_.local",
        "cluster_dns_upstreams": ["192.0.2.1", "10.244.0.2", "ns.example.org"],
        "coredns_listen": ["203.0.113.5"],
        "coredns_port": 22,
        "coredns_metrics_port": 2379,
        "coredns_resolver": "resolved",
        "coredns_cahce": 5,
        "coredns_records": [
            {"name": "a.cluster.local", "value": "10.0.0.300"},
            {"name": "b.cluster.local", "type": "CNAME", "value": "a.cluster.local"},
            {"name": "b.cluster.local", "value": "10.0.0.9"},
            {"name": "c.example.org", "value": "10.0.0.9"},
        ],
        "coredns_further_zones": [
            {"names": ["-x.org"], "files": {"-x.org": "/nowhere"}},
            {"names": ["y.org"], "extra": "whomai", "kubernetes": {"kubeconfig": "/nowhere", "endpoint": "https://x"}},
            {"names": ["y.org"], "forward": {"to": ["/etc/resolv.conf"], "plicy": "random"}},
        ],
        "coredns_blocks": "z.org:53 {\n  whoami\n  cahce 5\n}\n",
    }
    done = lab.playbook("site", "--extra-vars", json.dumps(bad))
    assert done.returncode != 0
    told = done.stdout + done.stderr
    for line in (
        "cluster_dns_address: 10.244.0.2: inside the pods' network 10.244.0.0/16; take an address outside of it, "
        "such as 10.0.0.2 of the service network",
        "cluster_dns_domain: cluster_.local: label 'cluster_' is not legal",
        "cluster_dns_upstreams[2]: ns.example.org: not an address",
        "coredns_listen[0]: 203.0.113.5: on none of the host's interfaces",
        "cluster_dns_address: 10.244.0.2: tcp/22 is taken by sshd; stop that, or bind it to other addresses",
        "coredns_metrics_port: tcp/2379: taken by etcd; stop that, or choose another port",
        "coredns_resolver: resolved: systemd-resolved does not run here; take resolv_conf "
        "[worker-2.lab.example, worker-3.lab.example]",
        "coredns_cahce: 5: role coredns has no such variable; did you mean coredns_cache?",
        "coredns_records[0].value: 10.0.0.300: not an IPv4 address such as 192.0.2.7",
        "coredns_records[2].name: b.cluster.local: coredns_records[1] has the name too, and a CNAME stands alone",
        "coredns_further_zones[0].names[0]: -x.org: label '-x' is not legal",
        "coredns_further_zones[0].files.-x.org: /nowhere: there is no such file on the controller",
        "coredns_further_zones[1].kubernetes: kubeconfig, endpoint: give kubeconfig, or endpoint",
        "coredns_further_zones[1].extra: whomai: this build of CoreDNS has no such plugin; did you mean whoami?",
        "coredns_further_zones[2].names[0]: y.org: y.org is among coredns_further_zones[1].names[0] too",
        "coredns_further_zones[2].forward.to[0]: /etc/resolv.conf: with coredns_resolver that file leads back to",
        "coredns_further_zones.forward.plicy. Supported parameters include",
        "coredns_blocks: cahce: this build of CoreDNS has no such plugin; did you mean cache?",
    ):
        assert line in told, f"not told: {line}\n{told}"
    assert "changed=0" in told and "changed=1" not in told


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (
            {"cluster_dns_upstreams": ["192.168.221.11:53"]},
            "cluster_dns_upstreams[0]: 192.168.221.11:53: CoreDNS itself answers there, and would ask itself for ever",
        ),
        (
            {"cluster_service_cidr": "10.0.0.0/31"},
            "cluster_service_cidr: 10.0.0.0/31: has no room for the addresses of the API and of the DNS server",
        ),
        (
            {"coredns_address": "169.254.20.10"},
            "coredns_address: 169.254.20.10: pods are told 10.0.0.2; set cluster_dns_address, which all roles follow",
        ),
        (
            {"coredns_listen": ["127.0.0.53"]},
            "coredns_listen: 127.0.0.53: udp/53 is taken by systemd-resolve; stop that, or bind it to other addresses",
        ),
    ],
)
def test_a_single_fault_is_refused(bad: dict[str, object], line: str) -> None:
    done = lab.playbook("site", "--tags", "preflight", "--extra-vars", json.dumps(bad))
    assert done.returncode != 0
    assert line in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_port_that_another_server_holds_is_refused_with_its_name() -> None:
    program = "import socket,time; s=socket.socket(type=socket.SOCK_DGRAM); s.bind((str(),53)); time.sleep(60)"
    lab.inside("worker-3.lab.example", "cp -f /usr/bin/python3 /usr/local/bin/dnsmasq; systemctl stop coredns")
    try:
        lab.inside("worker-3.lab.example", f"systemd-run --unit=foreign-dns dnsmasq -c '{program}'; sleep 0.5")
        done = lab.playbook("site", "--tags", "preflight")
        assert "cluster_service_cidr: 10.0.0.2: udp/53 is taken by dnsmasq; stop that" in done.stdout + done.stderr
    finally:
        lab.inside(
            "worker-3.lab.example", "systemctl stop foreign-dns; rm /usr/local/bin/dnsmasq; systemctl start coredns"
        )
