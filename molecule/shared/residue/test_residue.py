"""After the teardown every host is as it was before the first run."""

from __future__ import annotations

from typing import Any

import pytest

from testing import lab

PARTS = (
    "links", "routes", "rules", "fdb", "neighbours", "namespaces", "nftables", "iptables", "ipsets",
    "sysctls", "units", "running", "accounts", "files",
)  # fmt: skip


def difference(before: Any, after: Any) -> list[str]:
    """What is not the same, a line each."""
    if isinstance(before, dict):
        return [
            f"{key}: {before.get(key)!r} became {after.get(key)!r}"
            for key in sorted({*before, *after})
            if before.get(key) != after.get(key)
        ]
    if isinstance(before, str):
        before, after = before.splitlines(), after.splitlines()
    return [f"gone: {line}" for line in before if line not in after] + [
        f"left: {line}" for line in after if line not in before
    ]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("host", lab.names())
def test_nothing_is_left_and_nothing_is_missing(host: str, part: str) -> None:
    before, after = lab.kept(f"before-{host}"), lab.kept(f"after-{host}")
    assert difference(before[part], after[part]) == []
