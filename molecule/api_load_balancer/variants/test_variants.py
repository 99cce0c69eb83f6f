"""Other ways to run the balancers: more addresses, other probes, other VRRP. Each goes on from the one before."""

from __future__ import annotations

import json
import subprocess
import time

from testing import lab
from testing.failover import BACKENDS, Machines

NGINX, KEEPALIVED = "api-load-balancer-nginx", "api-load-balancer-keepalived"
machines = Machines.of_this_lab()
SUBNET = machines.address.rpartition(".")[0]
VIPS = [machines.address, f"{SUBNET}.101", "fd00:220::100"]
# Understands the PROXY protocol, as a backend that is told the client's address must. Notes what it is told.
PROXIED = """
import asyncio
async def serve(reader, writer):
    line = await reader.readline()
    open('/run/told', 'ab').write(line)
    await reader.read()
    writer.close()
async def main():
    await (await asyncio.start_server(serve, None, 7000)).serve_forever()
asyncio.run(main())
"""


def site(*options: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run site.yml with other variables."""
    done = lab.playbook("site", *options, "--extra-vars", json.dumps(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def holders(address: str) -> list[str]:
    """Balancers that have an address."""
    show = f"ip -o address show to {address} | grep -v ' lo '; true"
    return [name for name in machines.balancers if machines.run(name, show).strip()]


def eventually(address: str, wanted: list[str], seconds: float = 10) -> None:
    """Wait until exactly these balancers have an address."""
    until = time.monotonic() + seconds
    while holders(address) != wanted:
        assert time.monotonic() < until, f"{address} is on {holders(address)}, not on {wanted}"
        time.sleep(0.1)


def accepts(address: str, port: int) -> bool:
    """Whether a backend answers a client there."""
    ask = (
        "import socket, ssl; c = ssl._create_unverified_context(); "
        f"s = c.wrap_socket(socket.create_connection(('{address}', {port}), 3)); "
        "s.sendall(b'GET /readyz HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99).decode()[:12])"
    )
    return "HTTP/1.1 200" in machines.run(machines.client, f'python3 -c "{ask}" 2>&1; true')


def test_further_addresses_and_ports_are_reloads_that_move_nothing_and_lose_nothing() -> None:
    variables = {
        "api_load_balancer_vips": [{"address": vip} for vip in VIPS],
        "api_load_balancer_listeners": [{"port": 7443, "backends": [f"{lab.address(BACKENDS[0])}:6443"]}],
    }
    show = f"systemctl show {KEEPALIVED} --property=ExecMainStartTimestampMonotonic"
    before, holder = [machines.run(name, show) for name in machines.balancers], machines.holder()
    seen = machines.probe(lambda: site(**variables), interval=0.05, patience=2)
    assert (seen.failed, seen.moves, seen.holders) == (0, [], [holder])
    assert [machines.run(name, show) for name in machines.balancers] == before
    assert [len(holders(vip)) for vip in VIPS] == [1, 1, 1]
    again = site(**variables)
    assert all(f"changed={number}" not in again.stdout for number in range(1, 9)), again.stdout


def test_several_addresses_of_both_families_move_together_and_further_ports_are_served() -> None:
    machines.run("lb-1.lab.example", f"systemctl kill --signal=KILL {NGINX}")
    for vip in VIPS:
        eventually(vip, ["lb-2.lab.example"])
    machines.kill("lb-2.lab.example", NGINX)
    for vip in VIPS:
        eventually(vip, ["lb-1.lab.example"])
    for vip in VIPS[:2]:
        assert accepts(vip, 6443)
        assert accepts(vip, 7443)
    info = lab.module("lb-1.lab.example", "vip_info")
    assert sorted(info["held"]) == sorted(VIPS)
    # The IPv6 address goes with the first IPv4 address.
    told = {router["name"]: [place["address"] for place in router["addresses"]] for router in info["routers"]}
    assert told == {"vip-51": [VIPS[0], VIPS[2]], "vip-52": [VIPS[1]]}
    peer = lab.module("lb-2.lab.example", "vip_info")
    assert all(len(place["answered_by"]) == 1 for router in peer["routers"] for place in router["addresses"])
    assert not peer["split_brain"]


def test_a_killed_keepalived_leaves_none_of_its_addresses_behind() -> None:
    holder = machines.holder()
    machines.kill(holder, KEEPALIVED)
    for vip in VIPS:
        eventually(vip, [machines.other(holder)])


def test_with_preemption_the_preferred_balancer_takes_the_address_back_and_unwanted_addresses_are_gone() -> None:
    site(
        api_load_balancer_vips=[{"address": VIPS[0]}],
        api_load_balancer_preempt=True,
        api_load_balancer_probe="tcp",
        api_load_balancer_probe_timeout=0.2,
    )
    assert [holders(vip) for vip in VIPS[1:]] == [[], []]
    eventually(machines.address, ["lb-1.lab.example"])
    machines.run("lb-1.lab.example", f"systemctl stop {KEEPALIVED}")
    eventually(machines.address, ["lb-2.lab.example"])
    machines.run("lb-1.lab.example", f"systemctl start {KEEPALIVED}")
    eventually(machines.address, ["lb-1.lab.example"])


def test_a_connection_that_stays_open_is_enough_for_backends_that_do_not_speak_https() -> None:
    machines.refuse("lb-1.lab.example", [lab.address(name) for name in BACKENDS], seconds=8)
    assert machines.holders() == ["lb-2.lab.example"]
    eventually(machines.address, ["lb-1.lab.example"])


def test_version_2_with_a_password_that_no_run_shows_moves_the_address_too() -> None:
    program = PROXIED.replace('"', '\\"')
    machines.run("api-1", f'rm -f /run/told; (setsid python3 -c "{program}" >/dev/null 2>&1 &)')
    done = site(
        "--diff",
        "-vvv",
        api_load_balancer_vrrp_version=2,
        api_load_balancer_vrrp_password="s3cr3t-x",
        api_load_balancer_advert_interval=1,
        api_load_balancer_backends=[f"{lab.address('api-1')}:7000"],
        api_load_balancer_probe="tcp",
        api_load_balancer_proxy_protocol=True,
    )
    assert "s3cr3t-x" not in done.stdout + done.stderr
    holder = machines.holder()
    assert "auth_pass s3cr3t-x" in machines.run(holder, "cat /etc/api-load-balancer/keepalived.conf")
    machines.kill(holder, NGINX)
    eventually(machines.address, [machines.other(holder)])


def test_backends_are_told_the_clients_address_where_they_want_it() -> None:
    try:
        ask = f"import socket; socket.create_connection(('{machines.address}', 6443), 3).sendall(b'x\\r\\n')"
        machines.run("client", f'python3 -c "{ask}"')
        time.sleep(0.5)
        line = f"PROXY TCP4 {lab.address('client')} {machines.address} "
        assert line in machines.run("api-1", "cat /run/told")
    finally:
        machines.run("api-1", "rm -f /run/told; pkill -f '[a]syncio.start_server'")


# Says where VRRP packets that leave this machine go, for a second.
LEAVING = """
import socket, time
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.settimeout(0.2)
seen, end = set(), time.monotonic() + 1
while time.monotonic() < end:
    try:
        frame, (name, _protocol, kind, _hardware, _mac) = link.recvfrom(256)
    except socket.timeout:
        continue
    if name != "lo" and kind == 4 and frame[12:14] == bytes([8, 0]) and frame[23] == 112:
        seen.add(socket.inet_ntoa(frame[30:34]))
print(sorted(seen))
"""


def test_a_balancer_that_is_left_alone_holds_the_address_and_speaks_to_nobody_on_the_link() -> None:
    name, gone = machines.balancers
    assert machines.run(name, f"python3 -c '{LEAVING}'").strip() in ("[]", f"['{lab.address(gone)}']")
    machines.run(gone, f"systemctl stop {KEEPALIVED}")
    known = lab.inventory()["_meta"]["hostvars"][name]
    alone = {
        "all": {
            "children": {
                "api_load_balancer": {"hosts": {name: known}},
                "kube_control_plane": {"hosts": {one: lab.inventory()["_meta"]["hostvars"][one] for one in BACKENDS}},
            }
        }
    }
    path = lab.directory() / "alone.yml"
    path.write_text(json.dumps(alone))
    command = ["ansible-playbook", "-i", str(path), str(lab.CHECKOUT / "site.yml"), "--limit", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    eventually(machines.address, [name])
    assert machines.run(name, f"python3 -c '{LEAVING}'").strip() == "[]"
