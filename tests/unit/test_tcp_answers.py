"""A host is proved by a port that is open and by one that is closed alike."""

from __future__ import annotations

import resource
import socket

from ansible_collections.binary_cluster.networking.plugins.module_utils._probe.tcp_answers import tcp_answers


def test_ports_that_are_open_and_closed_answer_and_the_first_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as bound:
        bound.bind(("127.0.0.2", 0))  # and does not listen
        opened, closed = server.getsockname()[1], bound.getsockname()[1]
        assert tcp_answers(["127.0.0.1"], [opened, 22]) == {"127.0.0.1": opened}
        assert tcp_answers(["127.0.0.2"], [closed]) == {"127.0.0.2": closed}


def test_an_address_without_an_answer_is_left_out() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.3", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.3", port)):
            # The kernel drops what comes to a queue that is full.
            assert tcp_answers(["127.0.0.3", "127.0.0.4"], [port], wait=0.2) == {"127.0.0.4": port}
            assert tcp_answers(["127.0.0.3"], [port, 1], wait=0.2) == {"127.0.0.3": 1}


def test_many_addresses_are_asked_with_few_sockets_at_a_time() -> None:
    addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(450)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
    try:
        assert tcp_answers(addresses, [1]) == dict.fromkeys(addresses, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
