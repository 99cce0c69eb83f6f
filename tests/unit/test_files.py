"""Nothing on a host is lost: what is replaced comes back, what is not ours stays, a broken run is finished."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_notes,
    file_plan,
    files,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.file_entry import Entry
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import FileError
from ansible_collections.binary_cluster.networking.tests.unit.owned_files import (
    ERRORS,
    Host,
    Killed,
    fail_at,
    kill_at,
    until_it_passes,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners of files are changed")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def daemon(host: Host) -> list[Entry]:
    """Paths of a daemon with data, as a role wants them."""
    return [
        host.directory("etc/etcd/pki", mode=0o750),
        host.directory("data", mode=0o700, owner="daemon", group="daemon", purge=True),
        host.file("etc/etcd/etcd.env", b"A=1\n"),
        host.file("etc/etcd/pki/key", b"secret", mode=0o600, secret=True),
        file_entry.link(host.path("bin/etcd"), "/opt/etcd"),
    ]


def write_data(directory: Path) -> None:
    """What the daemon writes, as its account."""
    (directory / "member").mkdir()
    (directory / "member" / "db").write_text("all that there is")
    subprocess.run(["chown", "-R", "daemon:", directory / "member"], check=True)


# --- a run, again, and uninstall ---------------------------------------------------------


def test_a_second_run_changes_nothing_and_uninstall_leaves_nothing(host: Host) -> None:
    before = host.tree()
    assert host.converge(*daemon(host))
    assert not host.converge(*daemon(host))
    write_data(host.root / "data")
    assert not host.uninstall()
    assert host.tree() == before
    assert not host.owners()


def test_what_stood_there_comes_back(host: Host) -> None:
    (host.root / "bin").mkdir()
    (host.root / "bin/etcd").write_text("somebody's program")
    (host.root / "bin/etcd").chmod(0o750)
    (host.root / "etc/etcd").mkdir(parents=True)
    (host.root / "etc/etcd/etcd.env").symlink_to("elsewhere")
    before = host.tree()
    host.converge(*daemon(host))
    assert not host.uninstall()
    assert host.tree() == before


def test_an_owner_without_a_name_comes_back(host: Host) -> None:
    path = host.root / "there"
    path.write_text("somebody's")
    os.chown(path, 54321, 54322)
    before = host.tree()
    host.converge(host.file("there"))
    assert not host.uninstall()
    assert host.tree() == before


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_modes_are_those_wanted_whatever_the_umask_is(host: Host, mask: int) -> None:
    former = os.umask(mask)
    try:
        host.converge(host.directory("a/b/c", mode=0o750), host.file("d/e/f", mode=0o640, validate=("true", "%s")))
    finally:
        os.umask(former)
    modes = {name: told.split()[0] for name, told in host.tree().items()}
    parents = dict.fromkeys(("a", "a/b", "d", "d/e"), "drwxr-xr-x")
    assert modes == {**parents, "a/b/c": "drwxr-x---", "d/e/f": "-rw-r-----"}


# --- directories with data ----------------------------------------------------------------


def test_a_run_leaves_a_directory_with_data_that_is_no_longer_wanted_and_says_so(host: Host) -> None:
    host.converge(*daemon(host))
    write_data(host.root / "data")
    other = [entry for entry in daemon(host) if entry.path != host.path("data")]
    assert not host.converge(*other)
    assert (host.root / "data/member/db").read_text() == "all that there is"
    assert host.left(*other) == [
        f"{host.path('data')} is left: it is no longer wanted, but holds member; move or remove it by hand"
    ]
    assert not host.uninstall()
    assert not (host.root / "data").exists()


def test_a_run_removes_an_empty_directory_that_is_no_longer_wanted(host: Host) -> None:
    host.converge(host.directory("a", purge=True), host.file("b/c"))
    host.converge()
    assert not host.tree()
    assert not host.owners()


def test_a_directory_goes_with_our_files_in_it_whichever_came_first(host: Host) -> None:
    host.converge(host.file("a/b/file"))
    (host.root / "a/b").chmod(0o700)
    host.converge(host.file("a/b/file"), host.directory("a/b/c"))
    host.converge(host.file("a/b/c/file"), host.directory("a/b/c"))
    assert not host.left(uninstall=True)
    assert not host.uninstall()
    assert not host.tree()


def test_uninstall_leaves_somebody_elses_file_in_our_directory_and_says_so(host: Host) -> None:
    host.converge(*daemon(host))
    (host.root / "etc/etcd/pki/theirs").write_text("theirs")
    assert host.left(uninstall=True) == [
        f"{host.path('etc/etcd/pki')} is left: it holds theirs, which was not made here"
    ]
    assert not host.uninstall()
    assert [name for name in host.tree() if not name.endswith(("etc", "etcd"))] == [
        "etc/etcd/pki",
        "etc/etcd/pki/theirs",
    ]


def test_a_directory_that_was_there_with_things_in_it_loses_only_what_the_daemon_wrote(host: Host) -> None:
    data = host.root / "data"
    (data / "lost+found").mkdir(parents=True)
    data.chmod(0o755)
    before = host.tree()
    host.converge(*daemon(host))
    assert host.tree()["data"] == f"drwx------ {data.stat().st_uid}:{data.stat().st_gid}"
    write_data(data)
    (data / "backup-of-root").write_text("somebody's")
    assert host.left(uninstall=True) == [
        f"{data} is left: it holds backup-of-root, which was not made here or is mounted there"
    ]
    assert not host.uninstall()
    assert host.tree().items() - before.items() == {("data/backup-of-root", '-rw-r--r-- 0:0 b"somebody\'s"')}


def test_a_directory_that_was_there_as_wanted_is_known_to_have_data(host: Host) -> None:
    data = host.root / "data"
    host.converge(host.directory("data", mode=0o700, owner="daemon", group="daemon"))
    Path(host.records, "daemon.json").unlink()
    assert not host.converge(host.directory("data", mode=0o700, owner="daemon", group="daemon", purge=True))
    write_data(data)
    assert file_notes.data_directories(host.ledger) == {str(data): str(data)}


# --- links and mount points -----------------------------------------------------------------


def test_a_wanted_directory_that_is_a_link_to_one_is_kept(host: Host) -> None:
    disk, data = host.root / "disk", host.root / "data"
    disk.mkdir(mode=0o755)
    (disk / "theirs").write_text("theirs")
    data.symlink_to(disk)
    before = host.tree()
    host.converge(*daemon(host))
    assert data.is_symlink()
    assert host.tree()["disk"].startswith("drwx------ 1:")
    assert not host.converge(*daemon(host))
    write_data(disk)
    assert file_notes.data_directories(host.ledger) == {str(data): str(disk)}
    assert not host.uninstall()
    assert host.tree() == before


def test_data_that_somebody_moved_behind_a_link_stays_with_uninstall(host: Host) -> None:
    data, disk = host.root / "data", host.root / "disk"
    host.converge(*daemon(host))
    write_data(data)
    data.rename(disk)
    data.symlink_to(disk)
    assert not host.converge(*daemon(host))
    assert host.left(uninstall=True) == [
        f"{data} is left: it is a link to {disk} now, which was not made here; remove it by hand if nobody needs it"
    ]
    assert not host.uninstall()
    assert (disk / "member/db").exists()
    assert not host.owners()


def test_a_link_that_leads_nowhere_is_refused_where_a_directory_is_wanted(host: Host) -> None:
    (host.root / "data").symlink_to("/nowhere/at/all")
    before = host.tree()
    with pytest.raises(FileError, match="data: a link to /nowhere/at/all is there, and a directory is wanted"):
        host.converge(*daemon(host))
    assert host.tree() == before
    assert not host.owners()


def mounted(source: Path, target: Path) -> bool:
    """Mount a directory over another; tells whether this machine lets us."""
    return subprocess.run(["mount", "--bind", source, target], check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(host: Host) -> Any:
    """A directory that is mounted at ``data``: a bind mount within a file system, which is the hardest to see."""
    (host.root / "disk").mkdir(mode=0o755)
    (host.root / "data").mkdir(mode=0o755)
    if not mounted(host.root / "disk", host.root / "data"):
        pytest.skip("mount is not permitted here")
    yield host.root / "disk"
    subprocess.run(["umount", host.root / "data"], check=True)


def test_a_mount_point_is_kept_and_emptied_of_the_daemons_data(host: Host, disk: Path) -> None:
    (disk / "lost+found").mkdir()
    before = host.tree()
    host.converge(*daemon(host))
    assert not host.converge(*daemon(host))
    write_data(disk)
    assert not host.uninstall()
    assert host.tree() == before
    assert file_entry.is_mount(host.path("data"))


def test_what_is_mounted_over_our_directory_later_is_left(host: Host, tmp_path: Path) -> None:
    host.converge(*daemon(host))
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "theirs").write_text("theirs")
    if not mounted(disk, host.root / "data"):
        pytest.skip("mount is not permitted here")
    try:
        assert "is a mount point now" in " ".join(host.left(uninstall=True))
        assert not host.uninstall()
    finally:
        subprocess.run(["umount", host.root / "data"], check=True)
    assert (disk / "theirs").exists()


def test_what_is_mounted_in_the_daemons_data_is_left(host: Host, tmp_path: Path) -> None:
    host.converge(*daemon(host))
    data, disk = host.root / "data", tmp_path / "disk"
    write_data(data)
    (data / "member/wal").mkdir()
    disk.mkdir()
    (disk / "theirs").write_text("theirs")
    if not mounted(disk, data / "member/wal"):
        pytest.skip("mount is not permitted here")
    try:
        assert "holds member, which was not made here or is mounted there" in " ".join(host.left(uninstall=True))
        assert not host.uninstall()
    finally:
        subprocess.run(["umount", data / "member/wal"], check=True)
    assert (disk / "theirs").exists()


# --- what is in the way -----------------------------------------------------------------------


def put(path: Path, kind: str) -> None:
    """Put something of a kind at a path."""
    if kind in ("empty", "full"):
        path.mkdir()
    if kind == "full":
        (path / "data").write_text("theirs")
    if kind == "file":
        path.write_text("theirs")
    if kind == "link":
        path.symlink_to("/elsewhere")
    if kind == "fifo":
        os.mkfifo(path)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("file", "full"),
        ("file", "fifo"),
        ("link", "full"),
        ("link", "fifo"),
        ("directory", "file"),
        ("directory", "fifo"),
        ("directory", "link"),
    ],
)
def test_what_cannot_be_given_back_is_refused_before_the_first_change(host: Host, wanted: str, found: str) -> None:
    put(host.root / "place", found)
    before = host.tree()
    with pytest.raises(FileError, match=f"place: .* is there, and a {wanted} is wanted; move it away"):
        host.converge(host.file("first"), Entry(host.path("place"), wanted, b"/target"))
    assert host.tree() == before


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("file", "empty"),
        ("file", "file"),
        ("file", "link"),
        ("link", "empty"),
        ("link", "file"),
        ("link", "link"),
        ("directory", "empty"),
    ],
)
def test_what_can_be_given_back_is_replaced_and_comes_back(host: Host, wanted: str, found: str) -> None:
    put(host.root / "place", found)
    before = host.tree()
    entry = Entry(host.path("place"), wanted, b"/target" if wanted != "directory" else b"", mode=0o777)
    host.converge(entry)
    assert not host.converge(entry)
    assert not host.uninstall()
    assert host.tree() == before


@pytest.mark.parametrize("found", ["file", "link", "full", "fifo"])
@pytest.mark.parametrize("made", ["file", "link", "directory"])
def test_uninstall_leaves_what_somebody_put_in_the_place_of_ours(host: Host, made: str, found: str) -> None:
    host.converge(Entry(host.path("place"), made, b"/target" if made != "directory" else b""))
    place = host.root / "place"
    place.rmdir() if made == "directory" else place.unlink()
    put(host.root / "place", found)
    same = made == found  # a file that somebody edited is still ours
    before = host.tree()
    assert not host.uninstall()
    assert host.tree() == ({} if same else before)
    assert not host.owners()


def test_a_path_of_ours_may_become_of_another_kind(host: Host) -> None:
    host.converge(host.file("place"))
    host.converge(host.directory("place"))
    host.converge(file_entry.link(host.path("place"), "/target"))
    host.converge(host.file("place"))
    assert not host.uninstall()
    assert not host.tree()


def test_a_parent_that_is_no_directory_is_named(host: Host) -> None:
    (host.root / "a").symlink_to("/nowhere")
    with pytest.raises(FileError, match="host/a: File exists"):
        host.converge(host.file("a/b/c"))
    assert not host.owners()


# --- what fails on the way ----------------------------------------------------------------------


def test_an_account_that_does_not_exist_is_named(host: Host) -> None:
    before = host.tree()
    with pytest.raises(FileError, match="f: there is no account nobody-of-this-name:root"):
        host.converge(host.file("a/d"), host.file("f", owner="nobody-of-this-name"))
    assert host.tree() == before
    assert not host.owners()


def test_a_checker_that_cannot_be_written_for_is_an_error_with_the_reason(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at(monkeypatch, host.root, 1, ERRORS[0])
    with pytest.raises(FileError, match="No space left on device"):
        host.converge(host.file("f", validate=("true", "%s")))


def foreign(host: Host) -> dict[str, str]:
    """Somebody's files, around and in the place of ours."""
    (host.root / "etc/etcd").mkdir(parents=True)
    (host.root / "etc/etcd/etcd.env").write_text("THEIRS=1\n")
    (host.root / "etc/etcd/etcd.env.new").write_text("a name that one might take for a temporary one")
    (host.root / "etc/etcd/.check-etcd.env").write_text("another")
    (host.root / "data").mkdir(mode=0o755)
    (host.root / "data/lost+found").mkdir()
    return host.tree()


@pytest.mark.parametrize("code", ERRORS)
def test_any_step_may_fail_and_the_host_is_as_before_and_the_next_run_finishes(tmp_path: Path, code: int) -> None:
    def attempt(number: int) -> bool:
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        before = foreign(host)
        with pytest.MonkeyPatch.context() as broken:
            hit = fail_at(broken, tmp_path / str(number), number, code)
            try:
                host.converge(*daemon(host))
                failed = False
            except FileError as error:
                assert os.strerror(code) in str(error)
                failed = True
        if failed:
            assert host.tree() == before, number
        host.converge(*daemon(host))
        assert not host.converge(*daemon(host))
        assert not host.uninstall()
        assert host.tree() == before
        assert not host.owners()
        return not hit

    assert max(until_it_passes(attempt)) > 20


def test_a_run_may_be_killed_between_any_two_steps_and_the_next_finishes(tmp_path: Path) -> None:
    def attempt(number: int) -> bool:
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        before = foreign(host)
        with pytest.MonkeyPatch.context() as broken:
            hit = kill_at(broken, tmp_path / str(number), number)
            with contextlib.suppress(Killed):
                host.converge(*daemon(host))
        if number % 2:  # the next run, or uninstall at once
            host.converge(*daemon(host))
            assert not host.converge(*daemon(host))
            write_data(host.root / "data")
        assert not host.uninstall()
        assert host.tree() == before, number
        assert not [name for name in host.owners() if name.endswith(".json")], number
        return not hit

    assert max(until_it_passes(attempt)) > 20


def test_uninstall_may_be_killed_between_any_two_steps_and_the_next_finishes(tmp_path: Path) -> None:
    def attempt(number: int) -> bool:
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        before = foreign(host)
        host.converge(*daemon(host))
        write_data(host.root / "data")
        with pytest.MonkeyPatch.context() as broken:
            hit = kill_at(broken, tmp_path / str(number), number)
            with contextlib.suppress(Killed):
                host.uninstall()
        assert not host.uninstall()
        assert host.tree() == before, number
        assert not [name for name in host.owners() if name.endswith(".json")], number
        return not hit

    assert max(until_it_passes(attempt)) > 10


@pytest.mark.parametrize("code", ERRORS)
def test_uninstall_goes_on_after_a_failure_reports_it_and_finishes_later(tmp_path: Path, code: int) -> None:
    def attempt(number: int) -> bool:
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        before = foreign(host)
        host.converge(*daemon(host))
        everything = host.tree()
        with pytest.MonkeyPatch.context() as broken:
            hit = fail_at(broken, tmp_path / str(number), number, code)
            try:
                failures = host.uninstall()
            except FileError as error:
                failures = [str(error)]
        if failures:
            assert os.strerror(code) in " ".join(failures)
            # One step cost one path, or one of those that were only noted.
            assert len(host.tree().items() & everything.items()) <= len(before) + 3
        assert not host.uninstall()
        assert host.tree() == before
        return not hit

    assert max(until_it_passes(attempt)) > 10


def test_undoing_goes_on_after_a_failure_and_reports_it(host: Host) -> None:
    entries = [host.file("a"), host.file("b"), host.file("c")]
    changes = host.converge(*entries)
    (host.root / "b").unlink()
    (host.root / "b").mkdir()
    (host.root / "b/theirs").write_text("theirs")
    failures = files.undo(changes, host.ledger)
    assert [failure.partition(":")[0] for failure in failures] == [host.path("b")]
    assert list(host.tree()) == ["b", "b/theirs"]


def test_a_checker_that_refuses_leaves_the_host_as_it_was(host: Host) -> None:
    def refuse(words: Any) -> tuple[int, str, str]:
        return 1, "", f"{words[1]}: line 1 is wrong"

    before = foreign(host)
    ledger = host.ledger
    wanted = [host.file("new/file"), host.file("etc/etcd/etcd.env", b"x", validate=("judge", "%s"))]
    changes = file_plan.plan(wanted, file_plan.observe(wanted, ledger), ledger)
    with pytest.raises(FileError, match=r"refused by judge: .*etc/etcd/etcd\.env: line 1 is wrong"):
        files.apply(changes, ledger, refuse)
    assert host.tree() == before
    assert not host.owners()


def test_records_of_earlier_versions_are_understood(host: Host) -> None:
    """They have neither the kind that was made nor what a directory held."""
    ledger = host.ledger
    host.converge(host.directory("data", purge=True), host.file("file"))
    ledger = host.ledger
    ledger.replace("paths", host.path("data"), {"purge": True})
    ledger.replace("paths", host.path("file"), {})
    (host.root / "data/member").mkdir()
    assert file_notes.data_directories(ledger) == {host.path("data"): host.path("data")}
    assert not host.uninstall()
    assert not host.tree()


def test_a_record_of_an_earlier_version_learns_of_data_in_a_directory_that_was_there(host: Host) -> None:
    data = host.root / "data"
    (data / "member").mkdir(parents=True)
    host.converge(host.directory("data", mode=0o700))
    assert not file_notes.data_directories(host.ledger)
    assert not host.converge(host.directory("data", mode=0o700, purge=True))
    assert file_notes.data_directories(host.ledger) == {str(data): str(data)}
    assert host.left(uninstall=True) == [f"{data} is left: it holds member, which was there before"]
    assert not host.uninstall()
    assert (data / "member").exists()


def test_data_that_was_moved_as_told_goes_with_uninstall(host: Host) -> None:
    host.converge(*daemon(host))
    old, new = host.root / "data", host.root / "new"
    write_data(old)
    old.rename(new)
    old.symlink_to(new)
    wanted = [entry if entry.path != str(old) else replace(entry, path=str(new)) for entry in daemon(host)]
    host.converge(*wanted)
    assert not host.uninstall()
    assert sorted(host.tree()) == ["data", "new"]


def test_secrets_are_not_shown(host: Host) -> None:
    changes = host.converge(host.file("key", b"very private", secret=True))
    assert "very private" not in str([change.diff() for change in changes])
    ledger = host.ledger
    assert "very private" not in str([change.diff() for change in files.release(ledger)])
