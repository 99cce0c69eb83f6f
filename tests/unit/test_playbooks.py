"""What holds for every play of the collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
PLAYS = [
    pytest.param(play, id=f"{path.stem}: {play['name']}")
    for path in (PLAYBOOKS / f"{name}.yml" for name in ("site", "verify", "drift", "teardown"))
    for play in yaml.safe_load(path.read_text())
    if "hosts" in play
]


@pytest.mark.parametrize("play", PLAYS)
def test_hosts_wait_for_one_another(play: dict[str, Any]) -> None:
    """With `free` a host would be probed before its pods are there, and members restarted at once."""
    assert play["strategy"] == "linear"
    assert "serial" not in play
