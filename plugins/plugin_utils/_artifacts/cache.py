# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""A cache on the controller that holds artifacts verified.

Whatever the source, the files end in ``<cache>/<name>-<version>-<arch>-<pin>/`` beside an ``artifact.json`` with
their sha256; the directory appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.go_build import Go
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.manifest import (
    Artifact,
    ArtifactError,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.sources import (
    RECORD,
    CannotServe,
    Directory,
    Release,
    Say,
    sha256_of,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.work import (
    PARTIAL,
    locked,
    work_directory,
)


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


def _intact(path: Path, record: Mapping[str, Any], file: str) -> bool:
    """Whether a file is the one of a record. One that was not touched since it was hashed is not hashed again."""
    if file not in record["sha256"]:
        return False
    status = path.stat()
    untouched: bool = [status.st_size, status.st_mtime_ns] == record["stamps"][file]
    return untouched or sha256_of(path) == record["sha256"][file]


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
                with locked(self.root / f"{artifact.name}-{artifact.arch}.lock"):
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
        with work_directory(self.root, f"{PARTIAL}{artifact.name}-{artifact.arch}-") as work:
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
