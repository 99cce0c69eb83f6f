"""What the pod network costs in throughput, measured where the answer is known."""

from __future__ import annotations

import json

from testing import lab
from testing.breakage import QUICK


def test_a_tunnel_that_is_throttled_is_told_and_iperf3_leaves_no_trace() -> None:
    wanted = {"verify_performance": True, "verify_performance_pairs": 2, "verify_protocols": ["icmp"]}
    lab.inside("cp-1", "tc qdisc add dev flannel.1 root tbf rate 40mbit burst 64k latency 50ms")
    try:
        done = lab.playbook("verify", *QUICK, "--extra-vars", json.dumps(wanted))
    finally:
        lab.inside("cp-1", "tc qdisc del dev flannel.1 root")
    assert done.returncode == 0, done.stdout
    first, second = lab.connectivity()["throughput"]
    assert [(one["source"], one["target"]) for one in (first, second)] == [
        ("cp-1", "worker-2.lab.example"),
        ("worker-2.lab.example", "worker-3.lab.example"),
    ]
    assert 10 < first["pods_mbit_s"] < 50, "the rate of the tunnel"
    assert first["hosts_mbit_s"] > 100 and second["pods_mbit_s"] > 100
    assert first["ratio"] < 0.5
    assert first["hosts_rtt_ms"] < first["pods_rtt_ms"], "the tunnel costs time"
    assert f"{first['pods_mbit_s']:.0f} Mbit/s between pods" in done.stdout
    for node in ("cp-1", "worker-2.lab.example", "worker-3.lab.example"):
        left = "! command -v iperf3 && ! getent passwd iperf3 && ! ls /etc/default/iperf3 2>/dev/null"
        units = "systemctl list-units --no-legend --plain 'binary-cluster*' | cut -d' ' -f1"
        lab.inside(node, f'{left} && [ "$({units})" = binary-cluster-firewall.service ]')
