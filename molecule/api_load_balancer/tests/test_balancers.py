"""Two balancers after a run, and after one that had nothing to do."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from testinfra.host import Host

from testing import failover, lab
from testing.runs import (  # pylint: disable=unused-import
    test_a_second_run_changes_nothing,  # noqa: F401
    test_check_mode_announces_exactly_what_the_run_changes,  # noqa: F401
)

testinfra_hosts = ["ansible://api_load_balancer"]
VIP = f"{lab.address('lb-1.lab.example').rpartition('.')[0]}.100"


def info() -> dict[str, dict[str, object]]:
    """What every balancer says of the address."""
    return {host: lab.module(host, "vip_info") for host in lab.names("api_load_balancer")}


def test_a_second_run_needs_few_tasks() -> None:
    for host, counts in lab.runs()[1]["hosts"].items():
        assert counts["ok"] <= 11, f"{host}: {counts}"


def test_exactly_one_balancer_holds_the_address_and_the_other_is_ready() -> None:
    found = info()
    assert sorted(router["state"] for host in found.values() for router in host["routers"]) == ["BACKUP", "MASTER"]
    assert [host["held"] for host in found.values() if host["held"]] == [[VIP]]
    assert not any(host["split_brain"] for host in found.values())
    assert [host["routers"][0]["priority"] for host in found.values()] == [100, 99]


def test_a_second_holder_is_seen_from_both_balancers() -> None:
    machines = failover.Machines.of_this_lab()
    other = machines.other(machines.holder())
    machines.run(other, f"ip address add {VIP}/32 dev eth0")
    try:
        assert all(host["split_brain"] for host in info().values())
    finally:
        machines.run(other, f"ip address delete {VIP}/32 dev eth0")
    assert not any(host["split_brain"] for host in info().values())


def test_answers_come_from_every_backend() -> None:
    out = lab.inside("client", f"python3 /opt/prober/prober.py {VIP} 6443 /opt/prober/ca.crt 1 0.05 2")
    told = json.loads(out)
    assert {name for _started, name in told} == set(failover.BACKENDS)


@pytest.mark.parametrize(
    ("daemon", "capabilities"),
    [("nginx", ""), ("health", "cap_net_raw"), ("keepalived", "cap_net_admin cap_net_raw")],
)
def test_daemons_run_unprivileged_and_sandboxed(host: Host, daemon: str, capabilities: str) -> None:
    unit = f"api-load-balancer-{daemon}"
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled
    shown = host.run(f"systemctl show {unit}").stdout.splitlines()
    properties = dict(line.split("=", 1) for line in shown)
    assert properties["User"] == "api-load-balancer"
    assert properties["NoNewPrivileges"] == "yes"
    assert properties["ProtectSystem"] == "strict"
    assert properties.get("CapabilityBoundingSet", "") == capabilities
    pids = host.run(f"cat /sys/fs/cgroup/systemd$(systemctl show --value -p ControlGroup {unit})/cgroup.procs")
    owners = {host.run(f"stat -c %U /proc/{pid}").stdout.strip() for pid in pids.stdout.split()}
    assert owners == {"api-load-balancer"}


def test_the_distributions_own_nginx_and_keepalived_are_as_packaged_and_do_not_run(host: Host) -> None:
    for unit in ("nginx", "keepalived"):
        assert not host.service(unit).is_running
        assert host.run(f"systemctl is-enabled {unit}").stdout == "masked\n"
    assert host.run("dpkg --verify nginx nginx-common libnginx-mod-stream keepalived").stdout == ""
    assert not host.socket("tcp://0.0.0.0:80").is_listening


def test_the_counters_are_for_loopback_alone(host: Host) -> None:
    assert host.socket("tcp://127.0.0.1:8404").is_listening
    assert not host.socket("tcp://0.0.0.0:8404").is_listening
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8404/status').read().decode())"
    assert "Active connections" in host.check_output(f'python3 -c "{ask}"')


def test_the_access_log_says_who_came_and_who_answered_and_goes_on_after_a_rotation(host: Host) -> None:
    log = "/var/log/api-load-balancer/access.log"
    ask = (
        "import ssl, socket; c = ssl._create_unverified_context(); "
        "c.wrap_socket(socket.create_connection(('127.0.0.1', 6443))).close()"
    )
    line = re.compile(r"127\.0\.0\.1 \S+:6443 - \[\d\d/\w{3}/\d{4}:[\d: +]+\] 200 \d+")
    host.check_output(f'python3 -c "{ask}" && sleep 0.5')
    assert line.search(host.file(log).content_string)
    host.check_output("logrotate --force /etc/logrotate.d/api-load-balancer")
    host.check_output(f'sleep 1 && python3 -c "{ask}" && sleep 0.5')
    assert line.search(host.file(log).content_string)
    assert host.file(f"{log}.1").exists


# Sends advertisements of version 3 for router 51 with priority 254, an address and an interval of 10
# centiseconds, each in an IPv4 header of its own, from SOURCE to TARGET.
FORGE = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
source, target, vip = map(socket.inet_aton, sys.argv[1:4])
body = struct.pack("!BBBBHH", 0x31, 51, 254, 1, 10, 0) + vip
total = sum(struct.unpack("!12H", source + target + struct.pack("!HH", 112, len(body)) + body))
body = body[:6] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + body[8:]
packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 0, 0, 255, 112, 0, source, target) + body
for _number in range(int(sys.argv[4])):
    s.sendto(packet, (sys.argv[2], 0))
    time.sleep(0.02)
"""


def forge(source: str, target: str, count: int) -> list[str]:
    """The client's command for forged advertisements."""
    return ["docker", "exec", lab.container("client"), "python3", "-c", FORGE, source, target, VIP, str(count)]


@pytest.mark.parametrize("source", ["client", "peer"])
def test_a_stranger_cannot_take_the_address_by_vrrp_and_is_named(source: str) -> None:
    machines = failover.Machines.of_this_lab()
    holder = machines.holder()
    other = machines.other(holder)
    before = dropped(holder)
    begun = machines.run(holder, "date +%s").strip()
    # The source of the other balancer, with another MAC; what the holder thinks of it decides over the address.
    forged = lab.address(other if source == "peer" else "client")
    seen = machines.probe(
        lambda: subprocess.run(forge(forged, lab.address(holder), 50), check=True), after=0.5, patience=2
    )
    assert (seen.failed, seen.moves, seen.holders) == (0, [], [holder])
    assert dropped(holder) >= before + 50
    log = machines.run(holder, f"journalctl --unit api-load-balancer-health --since @{begun} -o cat")
    assert f"VRRP from {forged}" in log
    assert "virtual router 51, priority 254" in log


def test_forged_advertisements_are_seen_while_they_come() -> None:
    machines = failover.Machines.of_this_lab()
    holder = machines.holder()
    other = lab.address(machines.other(holder))
    assert not info()[holder]["forged"]
    with subprocess.Popen(forge(other, lab.address(holder), 3000)) as sender:
        try:
            found = lab.module(holder, "vip_info")
        finally:
            machines.run("client", "pkill -f '[I]PPROTO_RAW'")
            sender.wait(timeout=10)
    assert (found["forged"], found["second_master"], found["held"]) == (True, True, [VIP])
    (sender_seen,) = found["routers"][0]["advertised_by"]
    assert (sender_seen["address"], sender_seen["priority"], sender_seen["balancer"]) == (other, 254, False)
    assert machines.holder() == holder


def dropped(name: str) -> int:
    """Packets that a balancer's firewall has dropped."""
    listed = lab.inside(name, "nft list table inet api_load_balancer")
    found = re.search(r"ip protocol vrrp counter packets (\d+)", listed)
    assert found, listed
    return int(found.group(1))


def test_an_operator_can_ask_which_balancers_answer(host: Host) -> None:
    done = host.run(
        f"python3 /usr/local/libexec/api-load-balancer-health /etc/api-load-balancer/health.json {VIP} 192.0.2.1"
    )
    assert done.stdout.splitlines() == [f"{VIP} answers", "192.0.2.1 does not answer"]
    assert done.rc == 1


def test_one_balancer_is_allowed_with_a_warning_that_names_the_consequence() -> None:
    # The one that holds the address: the other's answer would be a stranger's.
    name = failover.Machines.of_this_lab().holder()
    known = lab.inventory()["_meta"]["hostvars"][name]
    variables = {**known, "api_load_balancer_backends": [f"{lab.address('api-1')}:6443"]}
    alone = {"all": {"children": {"api_load_balancer": {"hosts": {name: variables}}}}}
    path = lab.directory() / "alone.yml"
    path.write_text(json.dumps(alone))
    command = ["ansible-playbook", "-i", str(path), str(lab.CHECKOUT / "site.yml"), "--tags", "preflight"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join((done.stdout + done.stderr).split())
    assert "groups.api_load_balancer: 1 member: one balancer: the addresses go down with it" in words
