"""A host whose IPv6 comes from a router's advertisements does not lose it when it begins to forward for its pods."""

from __future__ import annotations

import json
import shlex
import time

from testing import lab

# A router for ten minutes, without a prefix (RFC 4861, section 4.2), told to one host alone.
ADVERTISEMENT = """
import socket, struct, sys
one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
host = (sys.argv[1], 0, 0, socket.if_nametoindex("eth0"))
one.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 600, 0, 0), host)
"""


def way_out() -> str:
    """The default route that worker-3.lab.example has by advertisements."""
    return lab.inside("worker-3.lab.example", "ip -6 route show default proto ra").strip()


def advertised() -> bool:
    """Whether worker-3.lab.example takes an advertisement that cp-1 sends."""
    (link,) = json.loads(lab.inside("worker-3.lab.example", "ip -6 -json address show dev eth0 scope link"))
    lab.inside("cp-1", f"python3 -c {shlex.quote(ADVERTISEMENT)} {link['addr_info'][0]['local']}")
    until = time.monotonic() + 3
    while not way_out() and time.monotonic() < until:
        time.sleep(0.1)
    return bool(way_out())


def test_a_host_that_forwards_goes_on_taking_the_advertisements_that_it_lives_by() -> None:
    assert not advertised(), "worker-3.lab.example forwards, and nobody told it to take them all the same"
    lab.inside("worker-3.lab.example", "sysctl -w net.ipv6.conf.all.forwarding=0")
    assert advertised()
    done = lab.playbook("site", "--tags=preflight,node")
    try:
        assert done.returncode == 0, done.stdout
        assert way_out(), "the kernel takes such routes away where forwarding is switched on"
        assert lab.inside("worker-3.lab.example", "cat /proc/sys/net/ipv6/conf/all/forwarding").strip() == "1"
        lab.inside("worker-3.lab.example", "ip -6 route delete default proto ra")
        assert advertised()
    finally:
        lab.inside("worker-3.lab.example", "ip -6 route flush default proto ra")
