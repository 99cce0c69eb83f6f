"""A trial start that cannot be made says why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import dry_run
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import iproute

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace is made")


@pytest.fixture(autouse=True)
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network of its own, which other tests have."""
    monkeypatch.setattr(dry_run, "_enter_empty_network", lambda _kernel, _addresses: None)


def trial(account: str = "daemon", script: str = "echo ready; sleep 5") -> dry_run.Trial:
    return dry_run.Trial(["sh", "-c", script], "/etc/x/y", "ready", [], account, timeout=3.0)


def run(args: list[str], *, data: str | None = None) -> tuple[int, str, str]:
    return 0, "", ""


def check(tried: dry_run.Trial, *entries: Entry) -> None:
    dry_run.check(tried, entries, iproute.IpRoute(run))


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o777])
def test_the_daemons_account_reads_its_files_whatever_the_umask_is(mask: int) -> None:
    former = os.umask(mask)
    try:
        check(trial(script="cat file && sleep 5"), Entry("/etc/x/y/file", data=b"ready\n"), Entry("/etc/z"))
    finally:
        os.umask(former)


def test_an_account_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileError, match=r"trial of sh: .*there is no account nobody-of-this-name"):
        check(trial("nobody-of-this-name"), Entry("/etc/x/y/file"))
    with pytest.raises(FileError, match="/etc/x/y/file: there is no account nobody-of-this-name"):
        check(trial(), Entry("/etc/x/y/file", owner="nobody-of-this-name"))


def test_a_program_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileError, match=r"trial of /no/program: .*No such file"):
        check(dry_run.Trial(["/no/program"], "/etc/x/y", "ready", [], "daemon"), Entry("/etc/x/y/file"))


def test_a_disk_that_is_full_is_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dry_run, "put_as", full)
    with pytest.raises(FileError, match=r"trial of sh: .*No space left on device"):
        check(trial(), Entry("/etc/x/y/file"))


def test_a_daemon_that_refuses_its_files_is_quoted() -> None:
    with pytest.raises(FileError, match="/etc/x/y: refused by sh: line 3 is wrong"):
        check(trial(script="echo line 3 is wrong; exit 1"), Entry("/etc/x/y/file"))
