# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Artifacts as the manifest describes them.

An artifact is a set of files of one version for one architecture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ArtifactError(Exception):
    """An artifact cannot be had; the message says which and why."""


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
