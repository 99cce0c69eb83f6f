"""Clients of etcd that write down when they were not served.

usage: client.py RESULT CLIENT_URL...

One client fails over between all endpoints, and one client is pinned to each. Every 50 ms a client
writes a key and reads it back through the quorum. Ends on SIGTERM with its findings in RESULT:
{client: {"tries", "failed", "longest_outage_s", "slowest_s"}}.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd

PKI = "/etc/etcd/pki"
stop = threading.Event()


def serve(name: str, endpoints: list[str], results: dict[str, dict[str, float]]) -> None:
    """Write and read until told to stop."""
    clients = [etcd.Client([one], f"{PKI}/ca.crt", f"{PKI}/client.crt", f"{PKI}/client.key", 2) for one in endpoints]
    key = f"/client/{name}"
    tries = failed = 0
    longest = slowest = 0.0
    last_served = time.monotonic()
    while not stop.is_set():
        began = time.monotonic()
        tries += 1
        for client in clients:
            try:
                client.put(key, str(tries))
                client.get(key)
                now = time.monotonic()
                slowest = max(slowest, now - began)
                longest = max(longest, now - last_served)
                last_served = now
                break
            except etcd.EtcdError:
                continue
        else:
            failed += 1
        stop.wait(0.05)
    results[name] = {"tries": tries, "failed": failed, "longest_outage_s": longest, "slowest_s": slowest}


def main() -> None:
    endpoints = sys.argv[2:]
    results: dict[str, dict[str, float]] = {}
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    clients = {"fails over": endpoints, **{f"pinned to {endpoint}": [endpoint] for endpoint in endpoints}}
    threads = [threading.Thread(target=serve, args=(name, served, results)) for name, served in clients.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
    Path(sys.argv[1]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
