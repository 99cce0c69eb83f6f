# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill the controller's cache of artifacts, with progress."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts import (
    cache as artifacts,
    fetch,
    go_build,
    manifest as artifact_manifest,
    sources as artifact_sources,
)
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import terminal

NAMES = {"type": "list", "elements": "str", "required": True}
OPTIONS: dict[str, Any] = {
    "names": NAMES,
    "architectures": NAMES,
    "manifest": {"type": "dict", "required": True},
    "source": {"type": "str", "choices": ["auto", "directory", "release", "go"], "default": "auto"},
    "directory": {"type": "path", "default": ""},
    "mirror": {"type": "str", "default": ""},
    "versions": {"type": "dict", "default": {}},
    "sha256": {"type": "dict", "default": {}},
    "go_modules": {"type": "path", "required": True},
    "cache": {"type": "path", "required": True},
    "bundle": {"type": "path", "default": ""},
}


class ActionModule(ActionBase):
    """The whole of M(binary_cluster.networking.binary_cache)."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, arguments = self.validate_argument_spec(OPTIONS)
        cache = self._cache(arguments)
        wanted, faults = [], []
        for name in arguments["names"]:
            for arch in arguments["architectures"]:
                try:
                    wanted.append(artifact_manifest.describe(name, arch, arguments["manifest"], arguments))
                except artifact_manifest.ArtifactError as error:
                    faults.append(str(error))
        if faults:
            raise AnsibleActionFail("\n".join(faults))
        try:
            if self._task.check_mode:
                stored = fetch.foresee(cache, wanted)
            else:
                progress = terminal.Progress("binaries")
                stored = fetch.ensure(cache, wanted, progress.announce, live=progress.live)
        except (artifact_manifest.ArtifactError, OSError) as error:
            raise AnsibleActionFail(str(error)) from None
        result["artifacts"] = {arch: [] for arch in arguments["architectures"]}
        for one in stored:
            entry = arguments["manifest"][one.artifact.name]
            result["artifacts"][one.artifact.arch].append(
                {
                    "name": one.artifact.name,
                    "version": one.artifact.version,
                    "source": one.source,
                    "directory": entry["directory"],
                    "links": entry["links"],
                    "sha256": one.sha256,
                    "cached": str(one.directory) if one.fetched else "",
                }
            )
        if arguments["bundle"]:
            result["changed"] = bundle(Path(arguments["bundle"]), stored, self._task.check_mode)
        return result

    @staticmethod
    def _cache(arguments: dict[str, Any]) -> artifacts.Cache:
        root = Path(arguments["cache"]).expanduser()
        sources: list[artifact_sources.Directory | artifact_sources.Release | go_build.Go] = [
            artifact_sources.Directory(arguments["directory"]),
            artifact_sources.Release(),
            go_build.Go(arguments["go_modules"], root),
        ]
        if arguments["source"] != "auto":
            sources = [source for source in sources if source.name == arguments["source"]]
        return artifacts.Cache(str(root), sources)


def bundle(root: Path, stored: list[artifacts.Stored], check_mode: bool) -> bool:
    """Copy artifacts to a bundle; return whether it changed, or would change."""
    changed = False
    for one in stored:
        artifact = one.artifact
        target = root / f"{artifact.name}-{artifact.version}-{artifact.arch}"
        record = target / artifact_sources.RECORD
        # What was not fetched has no digests to compare; its version is in the name.
        if record.exists() and (not one.fetched or json.loads(record.read_text())["sha256"] == one.sha256):
            continue
        changed = True
        if check_mode:
            continue
        partial = target.with_name(f".partial-{target.name}")
        for path in (partial, target):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(one.directory, partial)
        partial.rename(target)
    return changed
