"""A process of etcd that is waited for: when it is given up."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.binary_cluster.networking.plugins.module_utils import _etcd_process

ENDED = '{"level":"fatal","msg":"discovery failed","error":"listen tcp 192.0.2.11:2380: bind: address already in use"}'


class Systemd:
    """A unit that has ended; ``invocation`` is systemd's id of the process that ran last."""

    def __init__(self) -> None:
        self.invocation = "former"

    def __call__(self, command: Sequence[str]) -> tuple[int, str, str]:
        """What a command says."""
        if command[0] == "journalctl":
            return 0, ENDED, ""
        return 0, f"LoadState=loaded\nActiveState=activating\nMainPID=0\nInvocationID={self.invocation}\n", ""


def test_a_start_that_has_not_begun_is_not_judged_by_the_log_of_the_process_before() -> None:
    systemd = Systemd()
    process = _etcd_process.Process(systemd, 60, "/var/lib/etcd")
    process.start()
    watch = _etcd_process.Watch(process)
    watch.looked -= 2
    assert not watch.given_up()
    systemd.invocation = "latter"
    watch.looked -= 2
    assert watch.given_up()
    assert "address already in use" in watch.last
