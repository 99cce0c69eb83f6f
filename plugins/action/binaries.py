# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Send the binaries a host lacks, all in one transfer."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Action side of M(binary_cluster.networking.binaries)."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        found = self._execute_module(module_args=arguments, task_vars=task_vars)
        missing = found.get("missing") or []
        if missing and not found.get("failed") and not self._task.check_mode:
            with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
                self._pack(arguments["artifacts"], missing, archive.name)
                # Without pipelining the module has a directory there already. Another would take its place in
                # Ansible's memory, and the first would stay on the host. cleanup() removes the one it knows.
                target = self._connection._shell.join_path(
                    self._connection._shell.tmpdir or self._make_tmp_path(), "binaries.tar"
                )
                self._transfer_file(archive.name, target)
            found = self._execute_module(module_args={**arguments, "archive": target}, task_vars=task_vars)
        result.update(found)
        return result

    @staticmethod
    def _pack(artifacts: list[dict[str, Any]], missing: list[str], archive: str) -> None:
        """Write the missing files to a tar; the names in it are those on the host."""
        with tarfile.open(archive, "w") as tar:
            for artifact in artifacts:
                for file in artifact["sha256"]:
                    path = f"{artifact['directory']}/{artifact['version']}/{file}"
                    if path in missing:
                        tar.add(Path(artifact["cached"]) / file, arcname=path)
