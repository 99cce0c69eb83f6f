"""Artifacts from a server, a directory, and several sources; what is interrupted, spoiled or missing."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.action import binary_cache
from ansible_collections.binary_cluster.networking.plugins.modules import binaries
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts import (
    cache as artifacts_cache,
    fetch,
    go_build,
    manifest as artifact_manifest,
    sources as artifact_sources,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.cache import Cache
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.manifest import (
    Artifact,
    ArtifactError,
)

Sources = list[artifact_sources.Directory | artifact_sources.Release | go_build.Go]
CONTENT = bytes(range(256)) * 4000


def archive(**files: bytes) -> bytes:
    """An archive as releases have them: the files in a folder, beside others."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in {"README.md": b"more", **files}.items():
            member = tarfile.TarInfo(f"release/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


ARCHIVE = archive(tool=CONTENT)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the archive, ranges too; `/broken` breaks off in the middle, once for each test."""

    requested: list[tuple[str, str]]
    broke: bool

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        type(self).requested.append((self.path, wanted))
        if self.path not in ("/whole/tool.tgz", "/broken/tool.tgz"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(ARCHIVE) - start))
        self.end_headers()
        if self.path.startswith("/broken") and not type(self).broke:
            type(self).broke = True
            self.wfile.write(ARCHIVE[start : len(ARCHIVE) // 2])
            return
        self.wfile.write(ARCHIVE[start:])

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """Where the server is."""
    Server.requested, Server.broke = [], False
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def tool(url: str, sha256: str = hashlib.sha256(ARCHIVE).hexdigest(), **more: Any) -> Artifact:
    release = {"url": f"{url}/tool.tgz", "sha256": sha256}
    return Artifact(
        **{"name": "tool", "version": "1.0", "arch": "amd64", "files": ("tool",), **more}, release=release, go=None
    )


def release_cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"), [artifact_sources.Release()])


def fetched(cache: Cache, *artifacts: Artifact) -> list[artifacts_cache.Stored]:
    return fetch.ensure(cache, artifacts, lambda _line: None)


def leftovers(cache: Cache) -> list[str]:
    return [path.name for path in cache.root.iterdir() if path.name.startswith(".partial")]


def test_a_release_is_unpacked_and_not_asked_for_again(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    (stored,) = fetched(cache, tool(f"{url}/whole"))
    assert (stored.directory / "tool").read_bytes() == CONTENT
    assert stored.sha256 == {"tool": hashlib.sha256(CONTENT).hexdigest()} and stored.source == "release"
    fetched(cache, tool(f"{url}/whole"))
    assert len(Server.requested) == 1


def test_an_interrupted_download_is_taken_up_where_it_broke_off(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    with pytest.raises(ArtifactError, match=r"no source can serve it: release: .*/broken/tool\.tgz"):
        fetched(cache, tool(f"{url}/broken"))
    assert leftovers(cache) == []
    (stored,) = fetched(cache, tool(f"{url}/broken"))
    assert Server.requested[1][1] == f"bytes={len(ARCHIVE) // 2}-"
    assert (stored.directory / "tool").read_bytes() == CONTENT


def test_a_release_with_another_sha256_is_refused_and_leaves_nothing(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    with pytest.raises(ArtifactError, match=f"sha256 {hashlib.sha256(ARCHIVE).hexdigest()}, not {'0' * 64}"):
        fetched(cache, tool(f"{url}/whole", sha256="0" * 64))
    assert leftovers(cache) == [] and not list(cache.root.glob("*.part")) and not list(cache.root.glob("tool-1.0*"))


def test_everything_that_cannot_be_had_is_told_at_once(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    gone = tool(f"{url}/gone", name="gone")
    spoiled = tool(f"{url}/whole", sha256="0" * 64, name="spoiled")
    with pytest.raises(ArtifactError) as raised:
        fetched(cache, gone, spoiled, tool(f"{url}/whole"))
    assert "gone 1.0 amd64" in str(raised.value) and "spoiled 1.0 amd64" in str(raised.value)
    assert cache.find(tool(f"{url}/whole"))[0], "what could be had was kept"


def test_a_release_without_one_of_the_files_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArtifactError, match="release has no other"):
        fetched(release_cache(tmp_path), tool(f"{url}/whole", files=("tool", "other")))


def test_a_cached_file_that_was_changed_is_fetched_again(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    (stored,) = fetched(cache, tool(f"{url}/whole"))
    (stored.directory / "tool").write_bytes(b"spoiled")
    (again,) = fetched(cache, tool(f"{url}/whole"))
    assert (again.directory / "tool").read_bytes() == CONTENT


def bundle(tmp_path: Path, url: str) -> Path:
    """A directory as the bundle playbook writes it: an artifact of the cache beside its record."""
    (stored,) = fetched(release_cache(tmp_path), tool(f"{url}/whole"))
    made = tmp_path / "bundle"
    made.mkdir()
    stored.directory.rename(made / "tool-1.0-amd64")
    return made


def test_a_bundle_serves_without_a_network_and_before_the_release(tmp_path: Path, url: str) -> None:
    sources: Sources = [artifact_sources.Directory(str(bundle(tmp_path, url))), artifact_sources.Release()]
    Server.requested = []
    (stored,) = fetched(Cache(str(tmp_path / "second"), sources), tool(f"{url}/whole"))
    assert stored.source == "directory" and Server.requested == []


def test_a_spoiled_bundle_is_refused(tmp_path: Path, url: str) -> None:
    made = bundle(tmp_path, url)
    (made / "tool-1.0-amd64" / "tool").write_bytes(b"spoiled")
    with pytest.raises(ArtifactError, match=r"tool-1\.0-amd64/tool: sha256"):
        fetched(Cache(str(tmp_path / "second"), [artifact_sources.Directory(str(made))]), tool(f"{url}/whole"))


def test_where_the_bundle_lacks_it_the_next_source_serves_and_otherwise_each_is_named(tmp_path: Path, url: str) -> None:
    (tmp_path / "empty").mkdir()
    sources: Sources = [artifact_sources.Directory(str(tmp_path / "empty")), artifact_sources.Release()]
    (stored,) = fetched(Cache(str(tmp_path / "cache"), sources), tool(f"{url}/whole"))
    assert stored.source == "release"
    with pytest.raises(ArtifactError, match=r"directory: .*does not hold it; release: upstream publishes no sha256"):
        fetched(Cache(str(tmp_path / "cache"), sources), tool(f"{url}/whole", sha256="", name="unpinned"))


MANIFEST = {
    "tool": {
        "version": "1.0",
        "architectures": ["amd64"],
        "files": ["tool"],
        "release": {
            "url": "https://example.invalid/v{version}/tool-{arch}.tgz",
            "sha256": {"1.0": {"amd64": "a" * 64}},
        },
    }
}


@pytest.mark.parametrize(
    ("name", "arch", "settings", "told"),
    [
        ("took", "amd64", {}, "binaries: took: unknown; known are tool"),
        ("tool", "riscv64", {}, "binaries: tool: riscv64: not an architecture it is known for (amd64)"),
        ("tool", "amd64", {"versions": {"tool": "9"}}, "binaries_versions: tool: 9: no sha256 is pinned for it"),
    ],
)
def test_what_the_manifest_does_not_know_is_refused(name: str, arch: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ArtifactError) as raised:
        artifact_manifest.describe(name, arch, MANIFEST, settings)
    assert told in str(raised.value)


def test_a_mirror_serves_the_files_under_their_own_names() -> None:
    settings = {"mirror": "https://mirror.example.invalid/files/"}
    made = artifact_manifest.describe("tool", "amd64", MANIFEST, settings)
    assert made.release == {"url": "https://mirror.example.invalid/files/tool-amd64.tgz", "sha256": "a" * 64}


BUILDING = """
import signal
import sys
from pathlib import Path
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts import (
    cache,
    fetch,
    manifest,
    sources,
    work,
)

# A shell has its background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Slow(sources.Release):
    def fetch(self, artifact, into, say):
        (into / "half").write_text("made")
        sys.stdout.write("begun\\n")  # in one piece, beside other threads
        sys.stdout.flush()
        work.run_to_end(["sh", "-c", "echo $$ >> ../pids; sleep 60 & wait"], cwd=into, env={"PATH": "/usr/bin:/bin"})

release = {"url": "", "sha256": "0" * 64}
names = ["tool", *(f"tool{number}" for number in range(1, int(sys.argv[2])))]
artifacts = [manifest.Artifact(name, "1.0", "amd64", ("tool",), release, None) for name in names]
fetch.ensure(cache.Cache(sys.argv[1], [Slow()]), artifacts, print)
"""


def stopped(root: Path, number: signal.Signals, count: int = 1) -> list[int]:
    """Stop a run while it makes a number of artifacts; the groups of processes that it had started."""
    pids = root / "pids"
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDING, str(root), str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout and process.stdout.readline() == "begun\n"
        until = time.monotonic() + 10
        while not (pids.exists() and pids.read_text()) and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(10) == -number
    return [int(pid) for pid in pids.read_text().split()]


def is_gone(group: int) -> bool:
    """Whether a group of processes ends."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_ends_what_it_started_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    cache = release_cache(tmp_path)
    cache.root.mkdir()
    (group,) = stopped(cache.root, number)
    assert is_gone(group)
    assert leftovers(cache) == []


def test_a_run_that_is_stopped_begins_nothing_more(tmp_path: Path) -> None:
    cache = release_cache(tmp_path)
    cache.root.mkdir()
    groups = stopped(cache.root, signal.SIGTERM, count=8)
    assert [group for group in groups if not is_gone(group)] == []


def test_what_a_killed_run_left_is_gone_with_the_next_one(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    cache.root.mkdir()
    (group,) = stopped(cache.root, signal.SIGKILL)
    assert [name.rpartition("-")[0] for name in leftovers(cache)] == [".partial-tool-amd64"]
    os.killpg(group, signal.SIGKILL)
    fetched(cache, tool(f"{url}/whole"))
    assert leftovers(cache) == []


def test_progress_is_told_ever_more_rarely(tmp_path: Path) -> None:
    class Slow(artifact_sources.Release):
        def fetch(self, artifact: Artifact, into: Path, say: artifact_sources.Say) -> None:
            say("building")
            time.sleep(1.2)
            (into / "tool").write_bytes(CONTENT)

    told: list[str] = []
    fetch.ensure(Cache(str(tmp_path), [Slow()]), [tool("")], told.append, pause=0.1)
    # After 0.1, 0.3 and 0.7 seconds; a slow machine may miss some, and never has more.
    assert 2 <= len([line for line in told if "building" in line]) <= 3
    assert told[-1].endswith("done (1 of 1)")


def test_nameless_leftovers_are_removed_once_no_run_can_be_that_old(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    names = [".partial-ab12_xyz", ".partial-new1new2", ".partial-somebody-elses", "notes"]
    for name in names:
        (cache.root / name / "deep").mkdir(parents=True)
        if name != ".partial-new1new2":
            os.utime(cache.root / name, (1, 1))
    fetched(cache, tool(f"{url}/whole"))
    assert {path.name for path in cache.root.iterdir()} & set(names) == set(names[1:])


def test_a_toolchain_is_kept_by_its_version_and_former_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module tool\n\ngo 1.26\n")
    cache = tmp_path / "cache"
    former = [cache / "go-toolchain", cache / "go-toolchain-1.20.0"]
    for directory in (*former, cache / "go-toolchain-1.25.0", cache / ".partial-go-toolchain-killed"):
        (directory / "go" / "bin").mkdir(parents=True)
    for directory in former:
        os.utime(directory, (1, 1))

    def install(command: list[str], cwd: Path, env: dict[str, str]) -> tuple[int, str]:
        assert env["TMPDIR"] == str(cwd) and cwd.parent == cache
        binaries = Path(command[command.index("--target") + 1]) / "go" / "bin"
        binaries.mkdir(parents=True)
        (binaries / "go").write_text("#!/bin/sh\necho go1.99\n")
        return 0, ""

    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(go_build, "run_to_end", install)
    go = go_build.Go(str(tmp_path), cache)
    found = go._toolchain(module, lambda _what: None)
    assert found == str(cache / f"go-toolchain-{go_build.GO_VERSION}" / "go" / "bin" / "go")
    # One that a run may use right now stays.
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == [
        "go-toolchain-1.25.0",
        f"go-toolchain-{go_build.GO_VERSION}",
    ]
    monkeypatch.setattr(go_build, "run_to_end", None)
    assert go._toolchain(module, lambda _what: None) == found


def test_a_preview_fetches_nothing_and_names_what_cannot_be_had(tmp_path: Path, url: str) -> None:
    cache = release_cache(tmp_path)
    wanted = tool(f"{url}/whole")
    (foreseen,) = fetch.foresee(cache, [wanted])
    assert (foreseen.source, foreseen.sha256, foreseen.fetched) == ("release", {"tool": ""}, False)
    assert not foreseen.directory.exists()
    assert Server.requested == [] and not cache.root.exists()
    with pytest.raises(ArtifactError) as caught:
        fetch.foresee(cache, [tool(url, ""), wanted, tool(url, "", name="other")])
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == ["other", "tool"]
    assert fetched(cache, wanted) == fetch.foresee(cache, [wanted])
    bundle = tmp_path / "bundle"
    assert binary_cache.bundle(bundle, [foreseen], True) and not bundle.exists()
    assert binary_cache.bundle(bundle, fetched(cache, wanted), False)
    assert not binary_cache.bundle(bundle, fetched(cache, wanted), True)


def test_a_host_that_has_the_version_needs_no_artifact_for_a_preview(tmp_path: Path) -> None:
    path = tmp_path / "tool"
    noted: dict[str, Any] = {}
    ledger: Any = SimpleNamespace(before=lambda _kind, name: noted.get(name))
    assert binaries.differs(str(path), "", ledger)
    path.write_bytes(CONTENT)
    assert binaries.differs(str(path), "", ledger)
    noted[str(path)] = [hashlib.sha256(CONTENT).hexdigest(), 0, 0, 0]
    assert not binaries.differs(str(path), "", ledger)
    path.write_bytes(b"edited")
    assert binaries.differs(str(path), "", ledger)
