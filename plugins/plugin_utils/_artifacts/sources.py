# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Where artifacts come from: a directory written by the bundle playbook (air gap), or the upstream release.

A release is a URL with a pinned sha256. A third source, Go, has a file of its own.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import tarfile
import urllib.error
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.urls import open_url
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.manifest import (
    Artifact,
    ArtifactError,
)

RECORD = "artifact.json"
Say = Callable[[str], None]


class CannotServe(Exception):
    """This source has nothing for this artifact; another one may."""


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
