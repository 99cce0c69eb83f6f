"""Who may change the members of etcd, where two runs want to."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import run_lock
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.run_lock import LockError

ONE, TWO = "ops@one, process 1", "ops@two, process 2"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


def test_the_second_is_told_who_holds_it_and_since_when_and_how_to_go_on(path: str) -> None:
    run_lock.take(ONE, 600, path)
    with pytest.raises(LockError) as refused:
        run_lock.take(TWO, 600, path)
    assert re.fullmatch(
        r"another run is changing the members of etcd: ops@one, process 1, since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\. "
        rf"Wait until it has ended\. If it was killed, its lock counts until .+ UTC; to go on before, remove {path} on "
        "this host",
        str(refused.value),
    )
    assert run_lock.held_by_another(TWO, path) == str(refused.value)
    assert run_lock.held_by_another(ONE, path) == ""


def test_its_holder_may_take_it_again_and_keeps_the_time_it_began(path: str) -> None:
    run_lock.take(ONE, 600, path)
    since = json.loads(Path(path).read_text())["since"]
    run_lock.take(ONE, 900, path)
    kept = json.loads(Path(path).read_text())
    assert kept["since"] == since and kept["until"] > time.time() + 800


def test_only_its_holder_gives_it_back(path: str) -> None:
    run_lock.release(ONE, path)
    run_lock.take(ONE, 600, path)
    run_lock.release(TWO, path)
    assert run_lock.held_by_another(TWO, path)
    run_lock.release(ONE, path)
    assert not Path(path).exists()
    run_lock.take(TWO, 600, path)


@pytest.mark.parametrize("left", ["", "{", "[]", '{"holder": "x"}', '{"holder": "x", "since": 1, "until": 2}'])
def test_one_that_has_run_out_or_was_cut_keeps_nobody_out(path: str, left: str) -> None:
    Path(path).write_text(left)
    assert run_lock.held_by_another(ONE, path) == ""
    run_lock.take(ONE, 600, path)
    assert run_lock.held_by_another(TWO, path)
