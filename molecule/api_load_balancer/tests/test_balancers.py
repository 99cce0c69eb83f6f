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
VIP = f"{lab.address('lb1').rpartition('.')[0]}.100"


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
    out = lab.shell("client", f"python3 /opt/prober/prober.py {VIP} 6443 /opt/prober/ca.crt 1 0.05 2")
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


def test_a_stranger_cannot_take_the_address_by_vrrp() -> None:
    machines = failover.Machines.of_this_lab()
    holder = machines.holder()
    # Version 3, advertisement, router 51, priority 254, one address, an interval of 10 centiseconds.
    forge = (
        "import socket, struct; s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112); "
        f"b = struct.pack('!BBBBHH', 0x31, 51, 254, 1, 10, 0) + socket.inet_aton('{VIP}'); "
        f"[s.sendto(b, (host, 0)) for host in {[lab.address(name) for name in machines.balancers]} for _ in range(50)]"
    )
    before = {name: dropped(name) for name in machines.balancers}
    machines.run("client", f'python3 -c "{forge}"')
    assert machines.holder() == holder
    assert all(dropped(name) >= before[name] + 50 for name in machines.balancers)


def dropped(name: str) -> int:
    """Packets that a balancer's firewall has dropped."""
    listed = lab.shell(name, "nft list table inet api_load_balancer")
    return int(re.search(r"saddr != .* counter packets (\d+)", listed).group(1))


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
    variables = {**known, "api_load_balancer_backends": [f"{lab.address('api1')}:6443"]}
    alone = {"all": {"children": {"api_load_balancer": {"hosts": {name: variables}}}}}
    path = lab.directory() / "alone.yml"
    path.write_text(json.dumps(alone))
    command = ["ansible-playbook", "-i", str(path), str(lab.CHECKOUT / "site.yml"), "--tags", "preflight"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join((done.stdout + done.stderr).split())
    assert "groups.api_load_balancer: 1 member: one balancer: the addresses go down with it" in words
