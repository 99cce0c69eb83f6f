"""Whom a member presents itself as on its peer port, read without a certificate of one's own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.modules.etcd_peers import presented
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Start a server that asks for certificates as etcd does and has one with the given common name; its URL."""
    authority = Authority(str(tmp_path), 0)
    authority.ensure("etcd", 3650)
    listeners: list[socket.socket] = []

    def answer(listener: socket.socket, context: ssl.SSLContext) -> None:
        try:
            while True:
                connection, _peer = listener.accept()
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()
        except OSError:
            return

    def start(name: str) -> str:
        authority.issue(Request("node1", name, name, "", ("127.0.0.1",), ("server", "client")), 365)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "node1" / f"{name}.crt", tmp_path / "node1" / f"{name}.key")
        context.load_verify_locations(tmp_path / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=answer, args=(listener, context), daemon=True).start()
        return f"https://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("name", ["etcd-peer", "node2", "worker-2.lab.example"])
def test_the_common_name_of_a_member_is_read_although_it_lets_nobody_in(serve: Callable[[str], str], name: str) -> None:
    assert presented(serve(name), 5) == name


def test_a_member_that_does_not_answer_presents_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert presented(f"https://127.0.0.1:{port}", 1) is None
