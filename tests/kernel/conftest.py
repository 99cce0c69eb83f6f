"""Throw-away hosts for tests on the real kernel; any module of the collection runs in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

# The collection is imported as Ansible imports it, before anything of it is.
init_plugin_loader([str(Path(__file__).resolve().parents[2] / ".ansible" / "collections")])

from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import Host, Underlay, underlay


@pytest.fixture(autouse=True, scope="session")
def root() -> None:
    """Network namespaces are for root alone."""
    if os.geteuid() != 0:
        pytest.skip("tests of the kernel need root")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Underlay]:
    """An underlay without hosts."""
    with underlay(tmp_path) as made:
        yield made


@pytest.fixture
def hosts(network: Underlay) -> Callable[[int], list[Host]]:
    """Makes this many hosts."""
    return network.add


@pytest.fixture
def host(network: Underlay) -> Host:
    """One host."""
    return network.add(1)[0]
