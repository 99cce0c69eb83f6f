"""Pods leave the cluster over IPv6 under the address of their node."""

from __future__ import annotations

import contextlib
import shlex
import time

from testing import lab

# Answers once, and keeps who asked.
SERVER = """
import socket
one = socket.create_server(("2001:db8::12", 18090), family=socket.AF_INET6)
open("/run/asked-by", "w").write(one.accept()[1][0])
"""
CLIENT = "import socket; socket.create_connection(('2001:db8::12', 18090), 1)"


def test_a_pod_is_seen_outside_under_the_address_of_its_node() -> None:
    with contextlib.ExitStack() as after:
        for host, address in (("cp-1", "2001:db8::11/64"), ("worker-2.lab.example", "2001:db8::12/64")):
            lab.inside(host, f"ip address add {address} dev eth0 nodad")
            after.callback(lab.inside, host, f"ip address delete {address} dev eth0")
        lab.inside("worker-2.lab.example", f"timeout 30 python3 -c {shlex.quote(SERVER)} >/dev/null 2>&1 &")
        after.callback(lab.inside, "worker-2.lab.example", "rm -f /run/asked-by")
        assert not lab.module("cp-1", "cni_attachment", netns="outward")["failed"]
        after.callback(lab.module, "cp-1", "cni_attachment", netns="outward", state="absent")
        # The server may not listen yet.
        ask = f"ip netns exec outward python3 -c {shlex.quote(CLIENT)} 2>/dev/null"
        lab.inside("cp-1", f"for try in $(seq 20); do {ask} && exit; sleep 0.2; done; exit 1")
        until = time.monotonic() + 5
        while time.monotonic() < until and not (seen := lab.inside("worker-2.lab.example", "cat /run/asked-by")):
            time.sleep(0.1)
        assert seen == "2001:db8::11"
