"""A host with etcd for Calico's datastore, and Calico's programs, out of the controller's cache of binaries."""

from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts import (
    cache as artifacts,
    fetch,
    go_build,
    manifest as artifact_manifest,
    sources as artifact_sources,
)
from ansible_collections.binary_cluster.networking.tests.kernel.namespaces import CommandFailed, Host

BINARIES = Path(__file__).resolve().parents[2] / "roles" / "binaries"
CACHE = "~/.cache/binary_cluster"


@functools.cache
def program(artifact: str, file: str) -> str:
    """Path of a program; fetched or built where the cache has it not yet."""
    manifest = yaml.safe_load((BINARIES / "vars" / "main.yml").read_text())["_binaries_manifest"]
    wanted = artifact_manifest.describe(artifact, "amd64", manifest, {})
    root = Path(CACHE).expanduser()
    cache = artifacts.Cache(CACHE, [artifact_sources.Release(), go_build.Go(str(BINARIES / "files" / "go"), root)])
    (stored,) = fetch.ensure(cache, [wanted], print)
    return str(stored.directory / file)


class Datastore:
    """etcd on the loopback of a host, without TLS, and calicoctl."""

    def __init__(self, host: Host, scratch: Path) -> None:
        self.host = host
        self.calicoctl = program("calicoctl", "calicoctl")
        self.config = scratch / "calicoctl.cfg"
        self.config.write_text(
            json.dumps(
                {
                    "apiVersion": "projectcalico.org/v3",
                    "kind": "CalicoAPIConfig",
                    "spec": {"datastoreType": "etcdv3", "etcdEndpoints": "http://127.0.0.1:2379"},
                }
            )
        )

    def run_module(self, module: str, failing: bool = False, check: bool = False, **params: Any) -> dict[str, Any]:
        """Run a module against the datastore."""
        reach = {"calicoctl": self.calicoctl, "config": str(self.config)}
        return self.host.run_module(module, {**reach, **params}, check=check, failing=failing)

    def ctl(self, *words: str, data: Any = None) -> str:
        """Run calicoctl."""
        text = None if data is None else json.dumps(data)
        return self.host.exec(self.calicoctl, *words, f"--config={self.config}", data=text)

    def spec(self, kind: str, name: str) -> dict[str, Any]:
        """The spec of a resource."""
        spec: dict[str, Any] = json.loads(self.ctl("get", kind, name, "-o", "json"))["spec"]
        return spec

    def names(self, kind: str) -> list[str]:
        """Names of all resources of a kind."""
        return [item["metadata"]["name"] for item in json.loads(self.ctl("get", kind, "-o", "json"))["items"]]


@contextlib.contextmanager
def datastore(host: Host, scratch: Path) -> Iterator[Datastore]:
    """A datastore that is gone afterwards."""
    etcd = ["ip", "netns", "exec", host.name, program("etcd", "etcd"), f"--data-dir={scratch / 'etcd'}"]
    with (scratch / "etcd.log").open("w") as log:
        process = subprocess.Popen([*etcd, "--unsafe-no-fsync"], stdout=log, stderr=subprocess.STDOUT)
        try:
            made = Datastore(host, scratch)
            for _attempt in range(100):
                with contextlib.suppress(CommandFailed):
                    host.exec(program("etcd", "etcdctl"), "endpoint", "health", "--command-timeout=1s")
                    break
                time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait(timeout=20)
