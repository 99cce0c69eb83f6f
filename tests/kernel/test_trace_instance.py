"""The kernel's tracer: what a run makes of it goes with the run, and what a run that was killed left, with the next."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import trace_instance
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import PYTHON, Host

PROGRAM = """
import time
from ansible_collections.binary_cluster.networking.plugins.module_utils._kernel import trace_instance
with trace_instance.instance() as one:
    one.enable({trace_instance.DROP: "protocol == 2048"})
    print("on", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def root() -> Iterator[Path]:
    with trace_instance.tracefs() as place:
        yield Path(place) / "instances"


def ours(root: Path) -> set[str]:
    return {one.name for one in root.iterdir() if one.name.startswith(trace_instance.PREFIX)}


def run_and_kill() -> None:
    """Trace in another process, and kill it while it does."""
    process = subprocess.Popen(
        [PYTHON, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": Host.module_path()},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_nothing_is_left_of_a_trace_and_nothing_mounted(root: Path) -> None:
    before, mounts = ours(root), Path("/proc/self/mounts").read_text()
    with trace_instance.instance() as one:
        assert len(ours(root) - before) == 1
        one.enable({trace_instance.DROP: "protocol == 2048"})
        one.mark("here\n")
        assert "tracing_mark_write: here" in one.read()
    assert ours(root) - before == set()
    assert Path("/proc/self/mounts").read_text() == mounts


def test_a_filter_that_the_kernel_refuses_leaves_nothing(root: Path) -> None:
    before = ours(root)
    with pytest.raises(OSError), trace_instance.instance() as one:
        one.enable({trace_instance.DROP: "nonsense == 1"})
    assert ours(root) - before == set()


def test_what_a_run_that_was_killed_left_goes_with_the_next_one(root: Path) -> None:
    before = ours(root)
    run_and_kill()
    (left,) = ours(root) - before
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    trace_instance.sweep(str(root.parent), now)
    # Another one may have begun a moment ago, and not have opened it yet.
    assert left in ours(root)
    trace_instance.sweep(str(root.parent), now + trace_instance.LIFETIME + 2)
    assert left not in ours(root)


def test_it_goes_with_the_next_verification_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ours(root)
    run_and_kill()
    monkeypatch.setattr(trace_instance, "LIFETIME", -1)
    trace_instance.clean()
    assert ours(root) - before == set()


def test_what_is_in_use_or_somebody_elses_is_left(root: Path) -> None:
    foreign = [root / "somebody", root / f"{trace_instance.PREFIX}notes"]
    for one in foreign:
        one.mkdir()
    try:
        with trace_instance.instance() as mine:
            trace_instance.sweep(str(root.parent), time.clock_gettime(time.CLOCK_BOOTTIME) + 10000)
            assert Path(mine.path).is_dir()
            assert all(one.is_dir() for one in foreign)
    finally:
        for one in foreign:
            one.rmdir()


def test_a_kernel_that_gives_no_reason_and_one_without_tracefs_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = tmp_path / "events" / trace_instance.DROP
    event.mkdir(parents=True)
    (tmp_path / "instances").mkdir()
    (event / "format").write_text("field:void * location;")
    monkeypatch.setattr(trace_instance, "PLACES", [str(tmp_path)])
    with pytest.raises(trace_instance.TraceError, match=r"older than Linux 5\.17"), trace_instance.instance():
        pass
    (event / "format").unlink()
    with pytest.raises(trace_instance.TraceError, match="cannot be traced: No such file"), trace_instance.instance():
        pass
    assert list((tmp_path / "instances").iterdir()) == []
