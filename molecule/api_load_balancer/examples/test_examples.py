"""The examples of the role and of its modules run as they are printed, on balancers that have the printed addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import lab, printed

BALANCERS = {"lb-1.lab.example": "192.0.2.11", "lb-2.lab.example": "192.0.2.12"}
BACKENDS = {"api-1": "192.0.2.21", "api-2": "192.0.2.22"}
VIP = "192.0.2.100"
HOSTS = {name: printed.in_container(lab.container(name), address) for name, address in BALANCERS.items()}
INVENTORY = {"api_load_balancer": {"hosts": HOSTS}}


@pytest.fixture(scope="module", autouse=True)
def addresses() -> Iterator[None]:
    """The hosts have the printed addresses, too; afterwards all is as the scenario has it."""
    for name, address in {**BALANCERS, **BACKENDS}.items():
        lab.inside(name, f"ip address add {address}/24 dev eth0")
    yield
    done = lab.playbook("site")
    for name, address in {**BALANCERS, **BACKENDS}.items():
        lab.inside(name, f"ip address delete {address}/24 dev eth0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_role_runs_balancers_at_the_address_of_its_example(tmp_path: Path) -> None:
    check, run, again = printed.of_role(tmp_path, INVENTORY, "api_load_balancer")
    assert check == run
    assert {host for host, _task in run} == BALANCERS.keys()
    assert again == set()
    assert "HTTP/1.1 200" in lab.inside("client", f"ip route add {VIP} dev eth0; {ask(VIP)}; ip route delete {VIP}")


def ask(address: str) -> str:
    """A command for the head of what a backend answers at an address."""
    program = (
        "import socket, ssl; c = ssl._create_unverified_context(); "
        f"s = c.wrap_socket(socket.create_connection(('{address}', 6443), 3)); "
        "s.sendall(b'GET /readyz HTTP/1.1\\r\\n\\r\\n'); print(s.recv(99).decode()[:12])"
    )
    return f'python3 -c "{program}"'


def test_a_balancer_that_does_not_run_is_started_with_its_current_configuration(tmp_path: Path) -> None:
    lab.inside("lb-1.lab.example", "systemctl stop api-load-balancer-nginx")
    # Nothing is due any more to what has just begun.
    assert member(tmp_path) == [(True, True, False), (False, False, False)]


def test_a_balancer_that_runs_is_reloaded_by_the_second_task_alone(tmp_path: Path) -> None:
    # The printed reload is due whenever it is asked for; the role asks where it has changed a file.
    assert member(tmp_path) == [(False, False, False), (True, True, True)]


def member(directory: Path) -> list[tuple[bool, ...]]:
    """What the two examples of api_load_balancer_member change on the balancer whose peer they name."""
    names = ["api_load_balancer_member:1", "api_load_balancer_member:2"]
    return list(printed.of_module(directory, INVENTORY, "lb-1.lab.example", names).values())


def test_the_holder_of_the_address_is_shown_and_the_assertion_holds(tmp_path: Path) -> None:
    shown = printed.of_module(tmp_path, INVENTORY, "api_load_balancer", ["vip_info:1", "vip_info:2"])
    assert shown == {"vip_info:1": (False, False, False), "vip_info:2": (False, False, False)}
