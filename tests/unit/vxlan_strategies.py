"""Random VXLAN devices, and random things others do to them."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from hypothesis import strategies as st

LOCAL = {4: ["192.0.2.11", "192.0.2.12"], 6: ["2001:db8::11", "2001:db8::12"]}
FAR = {4: ["198.51.100.1", "198.51.100.2", "198.51.100.3"], 6: ["2001:db8:9::1", "2001:db8:9::2", "2001:db8:9::3"]}
GROUPS = {4: ["239.1.1.1", "239.1.1.2"], 6: ["ff05::101", "ff05::102"]}
ADDRESSES = ["10.1.0.1/24", "10.1.0.2/24", "10.1.0.3/24", "10.2.0.1/32", "fd00:1::1/64", "fd00:1::2/64"]
DEFAULTS: dict[str, Any] = {
    "local": None, "device": None, "port": 4789, "remote": None, "group": None, "mtu": None, "mac": None,
    "learning": True, "ageing": 300, "ttl": "auto", "tos": "0", "df": "unset", "udp_checksum": True,
    "udp6_zero_checksum_tx": False, "udp6_zero_checksum_rx": False, "gbp": False, "proxy": False, "l2miss": False,
    "l3miss": False, "port_range": None, "limit": 0, "external": False, "vnifilter": False, "bridge": None,
    "addresses": None, "up": True, "peers": None, "flood": None,
}  # fmt: skip


# True is another value than 1.
@lru_cache(maxsize=None, typed=True)
def one_of(*values: Any) -> st.SearchStrategy[Any]:
    """One of some values. To make a strategy takes longer than to draw from it."""
    return st.sampled_from(values)


@lru_cache(maxsize=None, typed=True)
def some_of(*values: Any) -> st.SearchStrategy[list[Any]]:
    """Some of some values, in any order."""
    return st.lists(one_of(*values), unique=True)


@lru_cache(maxsize=None, typed=True)
def some_or_none(*values: Any) -> st.SearchStrategy[Any]:
    """The same, or nothing."""
    return st.none() | some_of(*values)


@cache
@st.composite
def peer(draw: st.DrawFn, number: int, device: int, version: int, routed: bool) -> dict[str, Any]:
    """A peer of that number; numbers keep peers apart."""
    overlays = [f"10.{device}.{number}.{last}" for last in (1, 2)] + [f"fd00:{device}:{number}::1"]
    overlay = draw(some_of(*overlays)) if routed else []
    subnets = [f"10.{100 + device}.{number}.0/24", f"10.{100 + device}.{number + 50}.0/24"]
    offered = subnets if [one for one in overlay if "." in one] else []
    offered += [f"fd00:{device}:{number}:1::/64"] if [one for one in overlay if ":" in one] else []
    return {
        "underlay": draw(one_of(*FAR[version])),
        "mac": f"02:00:00:00:{device:02x}:{number:02x}",
        "overlay": overlay,
        "subnets": draw(some_of(*offered)) if offered else [],
    }


@cache
@st.composite
def device(draw: st.DrawFn, number: int) -> dict[str, Any]:
    """Arguments for device vx<number>, with all options set."""
    version = draw(one_of(4, 4, 6))
    some = dict(DEFAULTS, name=f"vx{number}", vni=draw(one_of(number * 10, number * 10 + 1)))
    some["device"] = draw(one_of(None, "eth0", "eth1"))
    some["local"] = draw(one_of(*LOCAL[version]))
    far = draw(one_of("none", "remote", "group") if some["device"] else one_of("none", "remote"))
    if far != "none":
        some[far] = draw(one_of(*(FAR[version] if far == "remote" else GROUPS[version])))
    some["up"] = draw(one_of(True, True, True, False))
    choices: dict[str, list[Any]] = {
        "port": [4789, 8472],
        "mtu": [None, 1280, 1300],
        "mac": [None, f"02:00:00:00:00:{number}1", f"02:00:00:00:00:{number}2"],
        "learning": [True, False],
        "ageing": [300, 30],
        "ttl": ["auto", "64", "inherit"],
        "tos": ["0", "0x10", "inherit"],
        "df": ["unset", "set"],
        "gbp": [False, False, False, True],
        "l2miss": [False, False, False, True],
        "bridge": [None, "", "br0"],
    }
    for option, values in choices.items():
        some[option] = draw(one_of(*values))
    # Two devices at one port must agree on what its socket takes.
    some["port"] = some["port"] + 10 * number + (1 if some["gbp"] else 0)
    some["addresses"] = draw(some_or_none(*ADDRESSES))
    some["flood"] = draw(some_or_none(*FAR[version]))
    if draw(st.booleans()):
        numbers = draw(some_of(1, 2, 3))
        some["peers"] = [draw(peer(one, number, version, some["up"])) for one in numbers]
    return some


devices = st.lists(st.sampled_from([1, 2]), unique=True, min_size=1).flatmap(
    lambda numbers: st.tuples(*(device(number) for number in numbers)).map(list)
)

# What others do; lines that do not fit the state are refused, and that is fine.
NOISE = [
    ("ip", "link set dev {} down"),
    ("ip", "link set dev {} up"),
    ("ip", "link set dev {} mtu 1281"),
    ("ip", "link set dev {} address 02:00:00:00:00:66"),
    ("ip", "link set dev {} nomaster"),
    ("ip", "link set dev {} type vxlan ttl 3"),
    ("ip", "link set dev {} type vxlan remote 198.51.100.2"),
    ("ip", "link set dev {} type vxlan dev eth1"),
    ("ip", "link delete dev {}"),
    ("ip", "address replace 10.1.0.1/24 dev {}"),
    ("ip", "address replace 10.1.0.9/24 dev {}"),
    ("ip", "address replace fd00:1::9/64 dev {} nodad"),
    ("ip", "address delete 10.1.0.1/24 dev {}"),
    ("ip", "neighbour replace 10.1.1.1 lladdr 02:00:00:00:66:01 dev {} nud permanent protocol 80"),
    ("ip", "neighbour replace 10.1.66.1 lladdr 02:00:00:00:66:02 dev {} nud permanent"),
    ("ip", "neighbour replace 10.1.67.1 lladdr 02:00:00:00:66:02 dev {} nud permanent protocol 140"),
    ("ip", "neighbour delete 10.1.1.1 dev {}"),
    ("ip", "route add 10.66.0.0/24 via 10.66.0.1 dev {} onlink protocol 80"),
    ("ip", "route add 10.67.0.0/24 via 10.66.0.1 dev {} onlink protocol 140"),
    # Not from a secondary address: of that the kernel loses track when the device is deleted.
    ("ip", "route add 10.68.0.0/24 dev eth0 protocol 80 src 10.2.0.1"),
    ("ip", "route add 10.69.0.0/24 via 10.66.0.1 dev {} onlink protocol 80 mtu 1200"),
    ("ip", "route replace 10.101.1.0/24 via 10.66.0.1 dev {} onlink protocol 80"),
    ("ip", "route prepend 10.101.1.0/24 via 10.66.0.2 dev {} onlink protocol 80"),
    ("ip", "route replace 10.101.2.0/24 via 192.0.2.1 dev eth0 onlink protocol 80"),
    ("ip", "route add fd00:66::/64 via fd00:66::1 dev {} onlink protocol 80 metric 1024"),
    ("bridge", "fdb replace 02:00:00:00:01:01 dev {} dst 198.51.100.3 self static"),
    ("bridge", "fdb replace 02:00:00:00:66:01 dev {} dst 198.51.100.3 self permanent"),
    ("bridge", "fdb replace 02:00:00:00:66:02 dev {} dst 198.51.100.3 port 99 self permanent"),
    ("bridge", "fdb replace 02:00:00:00:66:03 dev {} dst 198.51.100.3 self static"),
    ("bridge", "fdb append 00:00:00:00:00:00 dev {} dst 198.51.100.3 self static"),
    ("bridge", "fdb append 00:00:00:00:00:00 dev {} dst 198.51.100.3 port 99 self permanent"),
    ("bridge", "fdb delete 00:00:00:00:00:00 dev {} dst 198.51.100.1 self"),
]
noise = st.lists(st.tuples(st.sampled_from(NOISE), st.sampled_from(["vx1", "vx2"])), max_size=8)
