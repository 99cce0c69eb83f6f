"""An inventory with faults is refused before the first host changes, with all its faults at once."""

from __future__ import annotations

import json

from testing import lab


def test_all_faults_are_told_at_once_and_nothing_changes() -> None:
    subnet = lab.address("lb-1.lab.example").rpartition(".")[0]
    bad = {
        "api_load_balancer_vips": [
            {"address": f"{subnet}.13"},
            {"address": "10.1.1.1"},
            {"address": f"{subnet}.105", "virtual_router_id": 52},
            {"address": f"{subnet}.106", "interface": "eth9"},
            {"address": f"{subnet}.107", "virtual_router_id": 300},
            {"address": f"{subnet}.1"},
            {"address": "fd00:9::5"},
        ],
        "api_load_balancer_backends": [f"{subnet}.105:6443", f"{subnet}.13", f"{subnet}.11:6443"],
        "api_load_balancer_listeners": [{"port": 6443, "backends": [f"{subnet}.13:6443"]}],
        "api_load_balancer_status_port": 22,
        "api_load_balancer_advert_interval": 0.5,
        "api_load_balancer_vrrp_version": 2,
        "api_load_balancer_vrrp_password": "longer than eight",
        "api_load_balancer_probe": "icmp",
        "api_load_balancer_vipz": [],
    }
    done = lab.playbook("site", "--extra-vars", json.dumps(bad))
    assert done.returncode != 0
    told = done.stdout + done.stderr
    for line in (
        f"api_load_balancer_vips: {subnet}.13: the address of api-1; take one that no machine has",
        "api_load_balancer_vips: 10.1.1.1: outside of the networks of eth0",
        "api_load_balancer_vips: fd00:9::5: outside of the networks of eth0",
        "api_load_balancer_vips: eth9: no such interface; there are eth0, ",
        "api_load_balancer_vips: 300: virtual_router_id is a number from 1 to 255",
        f"api_load_balancer_vips: 52: virtual_router_id of 10.1.1.1, {subnet}.105; each needs its own on a link",
        f"api_load_balancer_backends: {subnet}.105:6443: a virtual address: the balancer would call itself",
        f"api_load_balancer_backends: {subnet}.13: not an address with a port",
        f"api_load_balancer_backends: {subnet}.11:6443: the balancer's own port: it would call itself",
        "api_load_balancer_listeners: 6443: the balancer listens on it already, by another variable",
        "api_load_balancer_status_port: tcp/22: taken by sshd; stop that, or choose another port",
        "api_load_balancer_advert_interval: 0.5: VRRP version 2 counts in whole seconds",
        "api_load_balancer_vrrp_password: 17 characters: VRRP version 2 has room for 8",
        "api_load_balancer_probe: icmp: value of api_load_balancer_probe must be one of: https, tcp",
        "api_load_balancer_vipz: []: role api_load_balancer has no such variable; did you mean api_load_balancer_vips?",
    ):
        assert line in told, f"not told: {line}\n{told}"
    assert f"api_load_balancer_vips: {subnet}.1: a machine with the MAC " in told
    assert "changed=0" in told
    assert "changed=1" not in told
