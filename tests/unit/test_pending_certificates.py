"""What check mode and drift say of files that the controller has yet to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action.daemon import to_be_made
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import daemon_plan, file_entry, file_plan
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger


def files(path: Path, content: bytes | None) -> list[file_entry.Change]:
    """Changes that check mode announces of a certificate that the run makes first, where the host has this one."""
    if content is not None:
        path.write_bytes(content)
    item = {"path": str(path), "content": None, "mode": "0644", "owner": "root", "group": "root"}
    more = {"secret": False, "validate": None, "needs": "restart"}
    params: dict[str, Any] = {"directories": [], "files": [{**item, **more}], "secrets": {}}
    wanted = daemon_plan.entries(params, check_mode=True)
    ledger = Ledger("etcd", str(path.parent / "state"))
    return file_plan.plan(wanted, file_plan.observe(wanted, ledger), ledger)


@pytest.mark.parametrize("content", [None, b"the one that is to be replaced"])
def test_a_certificate_that_is_yet_to_be_made_differs_from_what_the_host_has(
    tmp_path: Path, content: bytes | None
) -> None:
    (change,) = files(tmp_path / "server.crt", content)
    assert change.after
    assert daemon_plan.stale([change], {}) == ["restart"]
    assert "to be made" not in change.diff()["after"], "its content is not shown, as that of others is not"


def test_what_is_to_be_made_is_a_fact_of_the_controller() -> None:
    made = {"__certificates_cluster_made": {"pending": ["/srv/pki/etcd/cp-1/server.crt"]}}
    assert to_be_made({"hostvars": {"localhost": made}}) == ["/srv/pki/etcd/cp-1/server.crt"]
    assert to_be_made({"hostvars": {"localhost": {}}}) == []
