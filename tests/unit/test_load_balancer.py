"""The load balancers of the API: a restart that fails half-way, a hand-over, and VRRP that is no balancer's."""

from __future__ import annotations

import importlib.util
import socket
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.filter.peer_links import peer_links
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import systemd
from ansible_collections.binary_cluster.networking.plugins.module_utils._load_balancer import (
    keepalived as load_balancer_keepalived,
)
from ansible_collections.binary_cluster.networking.plugins.modules import api_load_balancer_member as member, vip_info

FILES = Path(__file__).resolve().parents[2] / "roles" / "api_load_balancer" / "files"
PEER, MAC = "192.0.2.12", "02:42:c0:00:02:0c"
RESTARTS = {"nginx": "restart", "health": "restart", "keepalived": "restart"}


def program(name: str) -> ModuleType:
    """A program of the role, which runs on hosts by itself."""
    spec = importlib.util.spec_from_file_location(name, FILES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look for what their types mean
    spec.loader.exec_module(module)
    return module


class Host:
    """A host whose commands are noted instead of run. A command that ends with ``fails`` fails with ``code``."""

    def __init__(self, fails: str = "", code: int = 1, keepalived: bool = True) -> None:
        self.fails, self.code = fails, code
        self.keepalived = keepalived
        self.commands: list[str] = []

    def run_command(self, words: list[str], **_options: Any) -> tuple[int, str, str]:
        line = " ".join(words)
        if words[:2] == ["systemctl", "show"]:
            active = self.keepalived or "keepalived" not in line
            return 0, f"ActiveState={'active' if active else 'inactive'}\nMainPID=1\n", ""
        if words[0] == "journalctl":
            return 0, "", ""
        self.commands.append(line)
        if self.fails and line.endswith(self.fails):
            return self.code, "", "no other balancer took 192.0.2.100 within 3 s"
        if words[0] == "systemctl" and words[-1] == "api-load-balancer-keepalived":
            self.keepalived = words[1] != "stop"
        if member.HEALTH in line:
            return 0, "".join(f"{address} answers\n" for address in words[3:]), ""
        return 0, "", ""


@pytest.fixture
def restarts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Restart what is due on a host; returns the host and what went wrong."""
    monkeypatch.setattr(systemd, "refreshed", lambda _ledger: None)
    monkeypatch.setattr(member, "Ledger", lambda _name: None)
    monkeypatch.setattr(member.Here, "takes_part", lambda _self: "")

    def bring_up_to_date(host: Host, due: dict[str, str], peers: tuple[str, ...] = (PEER,)) -> str:
        params = {"addresses": ["192.0.2.100"], "port": 6443, "peers": list(peers), "due": due, "timeout": 0}
        module: Any = SimpleNamespace(params=params, run_command=host.run_command)
        here = member.Here(module)
        try:
            member.bring_up_to_date(here, member.to_refresh(here.active, due))
        except (member.MemberError, systemd.ServiceError, OSError) as error:
            return str(error)
        return ""

    return bring_up_to_date


def takes_part(host: Host) -> bool:
    """Whether keepalived runs, and is not kept from the addresses."""
    return host.keepalived and host.commands[-1].endswith(("--back", "192.0.2.100"))


def test_addresses_are_handed_over_before_a_restart_and_the_balancer_takes_part_after_it(restarts: Any) -> None:
    host = Host()
    assert restarts(host, RESTARTS) == ""
    done = [line for line in host.commands if member.HEALTH not in line]
    assert member.HAND_OVER in done[0] and done[0].endswith(" leave")
    assert done[1:-1] == [f"systemctl restart api-load-balancer-{daemon}" for daemon in member.DAEMONS]
    assert done[-1].endswith(" leave --back")


@pytest.mark.parametrize("daemon", member.DAEMONS)
def test_keepalived_takes_part_again_whatever_fails_after_the_hand_over(restarts: Any, daemon: str) -> None:
    host = Host(fails=f"systemctl restart api-load-balancer-{daemon}")
    assert f"systemctl restart api-load-balancer-{daemon}" in restarts(host, RESTARTS)
    assert takes_part(host)


def test_keepalived_that_a_failed_restart_left_stopped_is_started(restarts: Any) -> None:
    host = Host(fails="systemctl restart api-load-balancer-keepalived")
    run = host.run_command

    def and_stops(words: list[str], **options: Any) -> tuple[int, str, str]:
        result = run(words, **options)
        if words == ["systemctl", "restart", "api-load-balancer-keepalived"]:
            host.keepalived = False
        return result

    host.run_command = and_stops  # type: ignore[method-assign]
    assert restarts(host, RESTARTS)
    assert "systemctl start api-load-balancer-keepalived" in host.commands
    assert takes_part(host)


def test_nothing_is_stopped_where_no_other_balancer_takes_the_addresses_and_the_error_says_why(restarts: Any) -> None:
    host = Host(fails=" leave", code=1)
    said = restarts(host, RESTARTS)
    assert not [line for line in host.commands if line.startswith("systemctl")]
    assert said.startswith("not restarted: no other balancer took 192.0.2.100 within 3 s; ")
    assert f"{PEER} passes connections to a backend, so its keepalived does not run, is in state FAULT" in said


def test_a_keepalived_of_an_older_configuration_is_stopped_to_hand_over_and_started_again(restarts: Any) -> None:
    host = Host(fails=" leave", code=member.DEAF)
    assert restarts(host, {"keepalived": "restart"}) == ""
    assert "systemctl stop api-load-balancer-keepalived" in host.commands
    assert host.keepalived


def test_a_keepalived_that_was_stopped_to_hand_over_is_started_where_the_addresses_do_not_answer(
    restarts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host(fails=" leave", code=member.DEAF)
    monkeypatch.setattr(member.Here, "addresses_answer", lambda _self: "no answer at 192.0.2.100")
    assert "no answer at 192.0.2.100" in restarts(host, RESTARTS)
    assert host.keepalived
    assert host.commands[-2] == "systemctl start api-load-balancer-keepalived"
    assert takes_part(host)


def test_a_balancer_without_peers_is_restarted_without_a_hand_over(restarts: Any) -> None:
    host = Host(fails=" leave", code=1)
    assert restarts(host, RESTARTS, peers=()) == ""
    assert "systemctl restart api-load-balancer-nginx" in host.commands


# --- the programs on the host ----------------------------------------------------------


def test_connections_to_an_address_are_counted_and_those_that_are_over_are_not() -> None:
    hand_over = program("balancer_hand_over")
    vip, other = hand_over.hexadecimal("192.0.2.100"), hand_over.hexadecimal("192.0.2.11")
    assert vip == f"{int.from_bytes(socket.inet_aton('192.0.2.100'), sys.byteorder):08X}"
    states = [(vip, "01"), (vip, "03"), (vip, "08"), (vip, "06"), (vip, "0A"), (other, "01")]
    table = "  sl  local_address rem_address   st\n" + "".join(
        f"   {number}: {address}:192B 0100007F:D431 {state} 00000000:00000000\n"
        for number, (address, state) in enumerate(states)
    )
    assert hand_over.connections(table, ["192.0.2.100"]) == 3


def test_connections_are_waited_for_by_a_program_that_a_busy_machine_holds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hand_over = program("balancer_hand_over")
    given = {
        "directory": "",
        "port": 6443,
        "own": "",
        "peers": [],
        "addresses": [],
        "drain": 60,
        "advert_interval": 0.1,
    }
    one = hand_over.HandOver(given, "leave")
    clock, looks = [0.0], []

    def look(_held: list[Any]) -> int:
        looks.append(clock[0])
        return 1 if len(looks) < 5 else 0

    # Each look takes a second.
    monkeypatch.setattr(hand_over.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(hand_over.time, "sleep", lambda _seconds: clock.__setitem__(0, clock[0] + 1))
    monkeypatch.setattr(one, "open_here", look)
    one.ended([])
    assert len(looks) == 4 + hand_over.QUIET


def frame(source: str = PEER, mac: str = MAC, router: int = 51, priority: int = 99) -> bytes:
    """An Ethernet frame with a VRRP advertisement."""
    ethernet = bytes(6) + bytes.fromhex(mac.replace(":", "")) + b"\x08\0"
    ip = (
        struct.pack("!BBHHHBBH", 0x45, 0, 32, 0, 0, 255, 112, 0)
        + socket.inet_aton(source)
        + socket.inet_aton("192.0.2.11")
    )
    return ethernet + ip + struct.pack("!BBBBHH", 0x31, router, priority, 1, 10, 0) + socket.inet_aton("192.0.2.100")


@pytest.mark.parametrize(
    ("source", "mac", "links", "said"),
    [
        (PEER, MAC, {PEER: MAC}, ""),
        (PEER, "02:42:c0:00:02:63", {PEER: ""}, ""),
        (PEER, "02:42:c0:00:02:63", {PEER: MAC},
         f"VRRP from {PEER}, but with MAC 02:42:c0:00:02:63 instead of {MAC}: virtual router 51, priority 99"),
        ("192.0.2.99", MAC, {PEER: MAC},
         f"VRRP from 192.0.2.99 ({MAC}), which is no balancer: virtual router 51, priority 99"),
    ],
)  # fmt: skip
def test_vrrp_of_others_than_the_balancers_is_named(source: str, mac: str, links: dict[str, str], said: str) -> None:
    assert program("balancer_health").reason_to_distrust(frame(source, mac), links) == said


def test_a_hand_over_is_taken_by_who_announces_the_router_with_a_priority() -> None:
    hand_over = program("balancer_hand_over")
    assert hand_over.announced(frame()[14:]) == 51
    assert hand_over.announced(frame(priority=0)[14:]) is None
    assert hand_over.announced(b"") is None


# --- what is known of the link ---------------------------------------------------------


def test_who_advertises_a_virtual_router_is_read_from_its_frames() -> None:
    assert load_balancer_keepalived.advertiser(frame()) == load_balancer_keepalived.Advertiser(51, PEER, MAC, 99)
    assert load_balancer_keepalived.advertiser(frame(priority=0)) is None
    assert load_balancer_keepalived.advertiser(frame()[:30]) is None
    heard = [
        load_balancer_keepalived.Advertiser(51, PEER, MAC, 99),
        load_balancer_keepalived.Advertiser(51, PEER, "02:42:c0:00:02:63", 254),
    ]
    assert [one["balancer"] for one in vip_info.senders(51, heard, {PEER: MAC})] == [True, False]
    assert vip_info.senders(52, heard, {PEER: MAC}) == []


def facts(address: str, mac: str) -> dict[str, Any]:
    """Variables of a host that was asked for its facts."""
    return {"ansible_facts": {"cluster_host": {"interfaces": {"eth0": {"mac": mac, "addresses": [address]}}}}}


def test_the_mac_of_a_peer_is_known_where_it_is_on_the_link_and_in_the_run() -> None:
    members = {"lb1": "192.0.2.11", "lb2": PEER, "lb3": "192.0.2.13", "lb4": "198.51.100.14"}
    hostvars = {
        "lb1": facts("192.0.2.11/24", "02:42:c0:00:02:0b"),
        "lb2": facts(f"{PEER}/24", MAC),
        "lb3": {},
        "lb4": facts("198.51.100.14/24", "02:42:c6:33:64:0e"),
    }
    assert peer_links(members, "192.0.2.11", hostvars) == [
        {"address": PEER, "mac": MAC},
        {"address": "192.0.2.13", "mac": ""},
        {"address": "198.51.100.14", "mac": ""},
    ]
