"""Runs that change something, while clients are at work."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from testing import lab
from testing.failover import BACKENDS, Machines

NGINX, KEEPALIVED = "api-load-balancer-nginx", "api-load-balancer-keepalived"
# A run takes processor time from everybody here: what counts is a connection that is lost, not one that is slow.
PATIENT = {"interval": 0.05, "patience": 2.0}
machines = Machines.of_this_lab()
LEFT = f"{lab.address(BACKENDS[0])}:6443"
# Asks one connection again and again, and says who answers.
LONG_LIVED = (
    "import socket, ssl, sys, time\n"
    "tls = ssl.create_default_context(cafile='/opt/prober/ca.crt')\n"
    f"link = tls.wrap_socket(socket.create_connection(('{machines.address}', 6443)), "
    f"server_hostname='{machines.address}')\n"
    "link.settimeout(5)\n"
    "while True:\n"
    "    link.sendall(b'GET /readyz HTTP/1.1\\r\\nHost: api\\r\\n\\r\\n')\n"
    "    print(link.recv(4096).decode().split()[-1], flush=True)\n"
    "    time.sleep(0.1)\n"
)


def site(**variables: object) -> subprocess.CompletedProcess[str]:
    """Run site.yml with other variables."""
    return lab.playbook("site", "--extra-vars", json.dumps(variables))


def changed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a run that succeeded changed anything."""
    assert done.returncode == 0, done.stdout + done.stderr
    return any(f"changed={number}" in done.stdout for number in range(1, 9))


def processes(unit: str) -> dict[str, str]:
    """When a unit was started, by balancer."""
    show = f"systemctl show {unit} --property=ExecMainStartTimestampMonotonic"
    return {name: machines.run(name, show) for name in machines.balancers}


def answering() -> set[str | None]:
    """Backends that answer at the address now."""
    command = f"python3 /opt/prober/prober.py {machines.address} 6443 /opt/prober/ca.crt 1 0.05 2"
    return {name for _started, name in json.loads(machines.run("client", command))}


def answers_come_from(backends: set[str], within: float = 10.0) -> bool:
    """Whether these alone answer before long: nginx's old workers still accept for a moment after a reload."""
    until = time.monotonic() + within
    while answering() != backends and time.monotonic() < until:
        pass
    return answering() == backends


# Each test asks for something that the one before did not.


def test_a_run_that_has_nothing_to_do_moves_nothing_and_loses_nothing() -> None:
    holder = machines.holder()
    seen = machines.probe(lambda: not changed(site()) or pytest.fail("it changed something"), **PATIENT)
    assert (seen.failed, seen.moves, seen.holders) == (0, [], [holder])


def test_a_changed_upstream_is_a_reload_that_drops_no_connection() -> None:
    before = {unit: processes(unit) for unit in (NGINX, KEEPALIVED)}
    command = ["docker", "exec", machines.container("client"), "python3", "-c", LONG_LIVED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        assert client.stdout
        backend = client.stdout.readline().strip()
        assert backend in BACKENDS
        left = next(name for name in BACKENDS if name != backend)
        # The backend that the open connection has is taken away from the new ones.
        seen = machines.probe(
            lambda: changed(site(api_load_balancer_backends=[f"{lab.address(left)}:6443"])), **PATIENT
        )
        assert (seen.failed, seen.moves) == (0, [])
        assert answers_come_from({left})
        assert client.poll() is None, "the open connection was dropped"
        machines.run("client", "pkill -f '[i]mport socket, ssl, sys, time'")
        rest, errors = client.communicate(timeout=10)
        assert set(rest.split()) == {backend}, errors
    assert {unit: processes(unit) for unit in (NGINX, KEEPALIVED)} == before


def test_a_restart_happens_to_one_balancer_at_a_time_with_the_address_handed_over() -> None:
    before = processes(NGINX)
    seen = machines.probe(lambda: changed(site(api_load_balancer_max_connections=4096)), **PATIENT)
    after = processes(NGINX)
    assert all(before[name] != after[name] for name in machines.balancers)
    assert seen.failed == 0, seen
    assert len(seen.moves) <= 2
    assert len(seen.holders) == 1


def test_nothing_is_restarted_while_no_other_balancer_answers() -> None:
    holder = machines.holder()
    other = machines.other(holder)
    before = processes(NGINX)[holder]
    machines.run(other, f"systemctl stop {KEEPALIVED} {NGINX}")
    try:
        done = lab.playbook(
            "site", "--limit", holder,
            "--extra-vars", json.dumps({"api_load_balancer_max_connections": 2048, "api_load_balancer_timeout": 3}),
        )  # fmt: skip
        assert done.returncode != 0
        assert f"not touched, because no other balancer answers ({lab.address(other)})" in done.stdout + done.stderr
        assert processes(NGINX)[holder] == before
        assert machines.holders() == [holder]
    finally:
        machines.run(other, f"systemctl start {NGINX} {KEEPALIVED}")


def test_nothing_is_restarted_while_no_other_balancer_takes_the_address_and_no_answer_is_lost() -> None:
    holder = machines.holder()
    other = machines.other(holder)
    before = {unit: processes(unit)[holder] for unit in (NGINX, KEEPALIVED)}
    # Its nginx passes connections on.
    machines.run(other, f"systemctl stop {KEEPALIVED}")
    try:
        told = []
        changes = json.dumps({"api_load_balancer_max_connections": 2048})
        seen = machines.probe(
            lambda: told.append(lab.playbook("site", "--limit", holder, "--extra-vars", changes)), **PATIENT
        )
        said = told[0].stdout + told[0].stderr
        assert told[0].returncode != 0
        assert f"not restarted: no other balancer took {machines.address} within 3 s" in said
        assert f"{lab.address(other)} passes connections to a backend, so its keepalived does not run" in said
        assert seen.failed == 0, seen
        assert seen.holders == [holder]
        assert {unit: processes(unit)[holder] for unit in (NGINX, KEEPALIVED)} == before
    finally:
        machines.run(other, f"systemctl start {KEEPALIVED}")


def test_an_interrupted_run_is_made_up_for_by_the_next() -> None:
    assert answers_come_from(set(BACKENDS))
    # The files are written, and the run ends before anything has read them.
    done = lab.playbook(
        "site", "--tags", "preflight,api_load_balancer_configure",
        "--extra-vars", json.dumps({"api_load_balancer_backends": [LEFT]}),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert answers_come_from(set(BACKENDS))
    assert changed(site(api_load_balancer_backends=[LEFT]))
    assert answers_come_from({BACKENDS[0]})


def test_what_somebody_edited_and_reloaded_is_put_right() -> None:
    edit = f"sed -i s/{LEFT}/{lab.address(BACKENDS[1])}:6443/ /etc/api-load-balancer/nginx.conf"
    machines.run(machines.holder(), f"{edit} && systemctl reload {NGINX}")
    assert answers_come_from({BACKENDS[1]})
    assert changed(site(api_load_balancer_backends=[LEFT]))
    assert answers_come_from({BACKENDS[0]})


def test_a_configuration_that_nginx_refuses_replaces_nothing() -> None:
    before = machines.run("lb-1.lab.example", "sha256sum /etc/api-load-balancer/*")
    done = site(api_load_balancer_idle_timeout=10**18)
    assert done.returncode != 0
    assert "/etc/api-load-balancer/nginx.conf: refused by sh: " in done.stdout + done.stderr
    assert machines.run("lb-1.lab.example", "sha256sum /etc/api-load-balancer/*") == before
