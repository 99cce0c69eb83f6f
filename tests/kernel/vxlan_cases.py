"""What several tests of VXLAN share: meshes of hosts, and the preview, run and second run of a module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host

MODULE = "vxlan"


def vtep_mac(number: int) -> str:
    """MAC of the VTEP of a host."""
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"


def peer(number: int, underlay: str, overlay_version: int = 4) -> dict[str, Any]:
    """A host as the peer of another, with the pods of 10.244.<number>.0/24 or fd00:244:<number>::/64."""
    overlay, length = (f"10.244.{number}.0", 24) if overlay_version == 4 else (f"fd00:244:{number}::", 64)
    subnet = f"{overlay}/{length}"
    return {"underlay": underlay, "mac": vtep_mac(number), "overlay": [overlay], "subnets": [subnet]}


def many_peers(underlay: int, count: int) -> list[dict[str, Any]]:
    """Peers with an address and a subnet each, on the underlay network 198.<underlay>.0.0/16."""
    return [
        {
            "underlay": f"198.{underlay}.{number >> 8}.{number & 255}",
            "mac": vtep_mac(number),
            "overlay": [f"10.{number >> 8}.{number & 255}.0"],
            "subnets": [f"10.{number >> 8}.{number & 255}.0/24"],
        }
        for number in range(1, count + 1)
    ]


def member(
    host: Host, others: Sequence[Host], version: int = 4, overlay_version: int = 4, **more: Any
) -> dict[str, Any]:
    """Arguments that make a host a member of a routed mesh with the others."""

    def underlay(of: Host) -> str:
        return of.address if version == 4 else of.address6

    own = peer(host.number, underlay(host), overlay_version)
    device = {
        "name": "vx0",
        "vni": 7,
        "local": underlay(host),
        "mac": own["mac"],
        "learning": False,
        "addresses": own["overlay"],
        "peers": [peer(other.number, underlay(other), overlay_version) for other in others if other is not host],
        **more,
    }
    return {"devices": [device]}


def mesh(members: Sequence[Host], **options: Any) -> None:
    """Make hosts a routed mesh."""
    for host in members:
        host.run_module(MODULE, member(host, members, **options))


def settles(host: Host, params: dict[str, Any], module: str = MODULE) -> dict[str, Any]:
    """Run as a preview, for real and again: the preview must be exact and the third run find nothing to do."""
    preview = host.run_module(module, params, check=True)
    real = host.run_module(module, params)
    again = host.run_module(module, params)
    assert preview["changed"] is real["changed"] is True
    assert preview["actions"] == real["actions"]
    assert without_macs(preview) == without_macs(real)
    assert again["changed"] is False
    assert again["actions"] == []
    assert again["diff"] == []
    return real


def without_macs(result: dict[str, Any]) -> list[Any]:
    """The diff without the MACs that the kernel chooses, which no preview can know."""
    return [
        [
            [line for line in one[side].splitlines() if not line.startswith("  mac ")]
            for side in ("before", "after", "before_header")
        ]
        for one in result["diff"]
    ]


def configuration(host: Host, device: str = "vx0") -> list[str]:
    """All that is configured on a host of a device, in the words of iproute2."""
    lines = []
    for family in (4, 6):
        routes = host.ip(f"-{family} route show table all").splitlines()
        lines += [
            line.strip() for line in routes if "proto kernel" not in line and not line.startswith(("local", "ff00"))
        ]
    lines += [line.strip() for line in host.ip(f"neighbour show dev {device} nud permanent", check=False).splitlines()]
    fdb = host.bridge(f"fdb show dev {device}", check=False).splitlines()
    lines += [line.strip() for line in fdb if " self " in line]
    shown = host.ip(f"-details -oneline address show dev {device}", check=False).splitlines()
    lines += [line.partition(device)[2].partition("valid_lft")[0].strip() for line in shown if "fe80:" not in line]
    # The index of a device that was made anew is another one.
    shown = host.ip(f"-details -oneline link show dev {device}", check=False).splitlines()
    lines += [line.partition(":")[2].replace("state DOWN", "state UNKNOWN").strip() for line in shown]
    return sorted(lines)
