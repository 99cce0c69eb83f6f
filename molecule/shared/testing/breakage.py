"""Faults that are made by hand in a lab, and the cause that verify is to tell of each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testing import lab

QUICK = ("--extra-vars", "verify_timeout=0.4", "--extra-vars", "verify_tries=2")


@dataclass(frozen=True)
class Breakage:
    """A fault: what makes it on which node, what mends it, and the cause that is expected.

    ``{address1}`` and the like stand for what the healthy lab is like.
    """

    name: str
    on: str
    make: str
    mend: str
    code: str
    # Node that the cause names, where it is not the one that was broken.
    blamed: str = ""
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What the healthy lab is like, by placeholder."""

    values: Mapping[str, str]

    def fill(self, text: str) -> str:
        """A text with its placeholders filled; braces of nft stay."""
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", value)
        return text


def known() -> Facts:
    """Addresses and subnets of the nodes, from the newest report."""
    values = {"subnet": lab.address("cp-1").rpartition(".")[0]}
    for number, node in enumerate(lab.connectivity()["nodes"], start=1):
        values[f"address{number}"] = node["address"]
        values[f"subnet{number}"] = node["pod_cidr"]
        values[f"subnet_v6_{number}"] = node["ips"][-1]["subnet"]
        values[f"gateway{number}"] = node["pod_cidr"].replace(".0/", ".1/")
        values[f"vtep{number}"] = node["pod_cidr"].partition("/")[0]
        values[f"key{number}"] = node["pod_cidr"].replace("/", "-")
    return Facts(values)


def whole() -> None:
    """See that nothing is left of the faults."""
    done = lab.playbook("verify", *QUICK)
    assert done.returncode == 0, done.stdout


def when_it_listens(pod: str, command: str) -> str:
    """A command that has another one run on the same node as soon as a probe pod's responder listens."""
    return (
        f"systemd-run --quiet --collect --unit=breakage sh -c 'until ip netns exec {pod} ss -Hltn 2>/dev/null |"
        f" grep -q 18080; do sleep 0.02; done; {command}'"
    )


@contextlib.contextmanager
def checksums_written(nodes: Sequence[str]) -> Iterator[None]:
    """Nodes that write the checksums of what they send, as for a real link: a veth passes packets on without them.

    What ethtool does for ``tx off`` (ioctl SIOCETHTOOL with ETHTOOL_STXCSUM), which the lab has not.
    """
    command = (
        "python3 -c \"import array, fcntl, socket, struct; value = array.array('I', [0x17, {on}]);"
        " fcntl.ioctl(socket.socket(), 0x8946, struct.pack('16sP16x', b'eth0', value.buffer_info()[0]))\""
    )
    try:
        for node in nodes:
            lab.inside(node, command.format(on=0))
        yield
    finally:
        for node in nodes:
            lab.inside(node, command.format(on=1))


@contextlib.contextmanager
def broken(breakages: Sequence[Breakage], facts: Facts) -> Iterator[None]:
    """The lab with some faults."""
    made: list[Breakage] = []
    try:
        for one in breakages:
            made.append(one)
            lab.inside(one.on, facts.fill(one.make))
        yield
    finally:
        for one in reversed(made):
            lab.inside(one.on, facts.fill(one.mend))


def expect(breakages: Sequence[Breakage], facts: Facts, *arguments: str) -> dict[str, Any]:
    """Verify, and see that the causes are those of the faults and no others; return the report."""
    done = lab.playbook("verify", *QUICK, *arguments)
    report: dict[str, Any] = lab.connectivity()
    assert done.returncode != 0, "nothing was found"
    causes = {(cause["code"], cause["node"]): cause for cause in report["causes"]}
    for one in breakages:
        wanted = (one.code, one.blamed or one.on)
        assert wanted in causes, f"{one.name}: found instead: {report['causes']}"
        told = causes.pop(wanted)
        assert told["fix"]
        for part in one.text:
            assert facts.fill(part) in told["text"] + told["fix"]
    assert not causes, f"a fault has one cause; besides: {list(causes.values())}"
    return report
