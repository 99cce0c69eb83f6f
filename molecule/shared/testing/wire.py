"""What the machines of a lab send each other, as seen and stopped on the network between them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator

NFT = ["ip", "netns", "exec", os.environ["LAB_NAME"], "nft"]
TABLE = "netdev between"


def nft(command: str) -> str:
    return subprocess.run([*NFT, *command.split()], capture_output=True, text=True, check=True).stdout


def counted() -> dict[str, int]:
    """Packets to pods that each machine has sent since counting began: wrapped in IP (protocol 4), and plain."""
    objects = json.loads(nft("--json list counters table netdev counted"))["nftables"]
    counters = [entry["counter"] for entry in objects if "counter" in entry]
    return {counter["name"]: counter["packets"] for counter in counters}


@contextlib.contextmanager
def blocked(host: str) -> Iterator[None]:
    """The network drops IP protocol 4, and nothing else, of what a machine sends."""
    nft(f"add table {TABLE}")
    nft(f"add chain {TABLE} drops {{ type filter hook ingress device {host} priority 10 ; }}")
    nft(f"add rule {TABLE} drops ip protocol 4 counter drop")
    try:
        yield
    finally:
        nft(f"delete table {TABLE}")
