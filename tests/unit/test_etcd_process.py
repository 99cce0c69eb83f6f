"""A process of etcd that is waited for: when it is given up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import process as etcd_process

ENDED = '{"level":"fatal","msg":"discovery failed","error":"listen tcp 192.0.2.11:2380: bind: address already in use"}'


class Systemd:
    """A unit that has ended; ``invocation`` is systemd's id of the process that ran last."""

    def __init__(self) -> None:
        self.invocation = "former"
        self.pid = 0
        self.log = ENDED

    def __call__(self, command: Sequence[str]) -> tuple[int, str, str]:
        """What a command says."""
        if command[0] == "journalctl":
            return 0, self.log, ""
        return 0, f"LoadState=loaded\nActiveState=activating\nMainPID={self.pid}\nInvocationID={self.invocation}\n", ""


def test_a_start_that_has_not_begun_is_not_judged_by_the_log_of_the_process_before() -> None:
    systemd = Systemd()
    process = etcd_process.Process(systemd, 60, "/var/lib/etcd")
    process.start()
    watch = etcd_process.Watch(process)
    watch.looked -= 2
    assert not watch.given_up()
    systemd.invocation = "latter"
    watch.looked -= 2
    assert watch.given_up()
    assert "address already in use" in watch.last


ONE, TWO = "15309eb48fb80c71", "4cb81874f3994215"
EXPIRED, FOREIGN = "remote error: tls: expired certificate", "remote error: tls: unknown certificate authority"
REFUSED = "dial tcp 192.0.2.12:2380: connect: connection refused"


def entry(message: str, level: str = "warn", **more: str) -> str:
    return json.dumps({"level": level, "msg": message, **more})


def added(*peers: str) -> list[str]:
    return [entry("added remote peer", "info", **{"remote-peer-id": peer}) for peer in peers]


def probed(peer: str, error: str) -> str:
    return entry("prober detected unhealthy status", **{"remote-peer-id": peer}, error=error)


def active(peer: str) -> str:
    return entry("peer became active", "info", **{"peer-id": peer})


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([*added(ONE, TWO), probed(ONE, EXPIRED), probed(TWO, FOREIGN)], True),
        # It has not probed the other one yet, or the other one is restarted right now, or takes its certificate.
        ([*added(ONE, TWO), probed(ONE, EXPIRED)], False),
        ([*added(ONE, TWO), probed(ONE, EXPIRED), probed(TWO, EXPIRED), probed(TWO, REFUSED)], False),
        ([*added(ONE, TWO), probed(ONE, EXPIRED), probed(TWO, EXPIRED), active(TWO)], False),
        ([], False),
        # The beginning is missing, with who its peers are.
        ([probed(ONE, EXPIRED)] * etcd_process.READ, False),
    ],
)
def test_a_process_is_refused_where_every_peer_refuses_its_certificates(lines: list[str], refused: bool) -> None:
    assert etcd_process.refused_by_all(lines) == refused


def test_a_process_that_is_refused_is_given_up_a_moment_later_and_one_that_is_no_longer_refused_is_not() -> None:
    systemd = Systemd()
    systemd.pid = 7
    watch = etcd_process.Watch(etcd_process.Process(systemd, 60, "/var/lib/etcd"))

    def given_up(log: list[str], seconds: float) -> bool:
        systemd.log = "\n".join(log)
        watch.looked -= seconds
        if watch.refused:
            watch.refused -= seconds
        return watch.given_up()

    refused = [*added(ONE), probed(ONE, EXPIRED)]
    assert not given_up(refused, 2)
    assert not given_up([*refused, active(ONE)], 2)
    assert not given_up(refused, 2)
    assert given_up(refused, etcd_process.REFUSED)


def test_the_cause_is_the_plainest_word_about_certificates_and_floods_are_shown_once() -> None:
    flood = entry("rejected connection on peer endpoint", error="remote error: tls: bad certificate")
    lines = [entry("first"), probed(ONE, EXPIRED), *[flood] * 500]
    assert etcd_process.cause(lines) == f"prober detected unhealthy status: {EXPIRED}"
    assert etcd_process.cause([flood]) == "rejected connection on peer endpoint: remote error: tls: bad certificate"
    systemd = Systemd()
    systemd.log = "\n".join(lines)
    said = str(etcd_process.Process(systemd, 60, "/var/lib/etcd").error("not healthy", ""))
    assert said.startswith(f"prober detected unhealthy status: {EXPIRED}; renew the certificates, or set the clocks")
    assert said.partition("its last log lines:\n")[2].splitlines() == [
        "warn: first",
        f"warn: prober detected unhealthy status: {EXPIRED}",
        "warn: rejected connection on peer endpoint: remote error: tls: bad certificate",
    ]


def test_certificates_are_the_cause_where_a_new_member_ends_because_nobody_answers_it() -> None:
    ended: dict[str, Any] = {
        "level": "fatal",
        "msg": "discovery failed",
        "error": "cannot fetch cluster info from peers",
    }
    unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    lines = [entry("failed to get cluster response", error=unknown), json.dumps(ended)]
    assert etcd_process.cause(lines, etcd_process.ENDS) == f"failed to get cluster response: {unknown}"
    assert etcd_process.cause(lines[1:], etcd_process.ENDS) == ended["error"]
    ended["error"] = "something else"
    assert etcd_process.cause([lines[0], json.dumps(ended)], etcd_process.ENDS) == "something else"
