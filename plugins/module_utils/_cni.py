# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A container runtime's part of the CNI: ADD, CHECK and DEL through a network configuration list.

Follows the CNI specification 1.0.0 (https://www.cni.dev/docs/spec/): plugins run in the order of
the list, each given the result of the one before it; DEL runs in reverse. Results are kept in the
cache that libcni uses too, so cnitool and this module see each other's attachments.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import json
import os
import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.binary_cluster.networking.plugins.module_utils import _iproute

CONFIGURATIONS = "/etc/cni/net.d"
PLUGINS = "/opt/cni/bin"
CACHE = "/var/lib/cni/results"
# Where plugins and runtimes keep their state, in directories of their own.
ROOTS = ("/var/lib/cni", "/run/cni")
NAMESPACES = "/run/netns"
# CHECK came with this version of the specification.
CHECKED_SINCE = (0, 4, 0)
# Calico's plugin takes labels in the form of the runtime that brought them up (CNI conventions, args).
MESOS = "org.apache.mesos"


class CniError(Exception):
    """A plugin or a configuration failed; the message has the plugin's own code and words."""


class Run(Protocol):
    """AnsibleModule.run_command, or anything of the same form."""

    def __call__(
        self,
        args: list[str],
        *,
        data: str | None = None,
        environ_update: dict[str, str] | None = None,
    ) -> tuple[int, str, str]: ...


@dataclass(frozen=True)
class Network:
    """A network configuration list."""

    name: str
    version: str
    plugins: tuple[dict[str, Any], ...]
    source: bytes
    path: str
    checks: bool = True


@dataclass(frozen=True)
class Attachment:
    """An interface of a namespace in a network."""

    container_id: str
    namespace: str
    interface: str
    arguments: dict[str, str] = field(default_factory=dict)
    capabilities: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


def parse(source: bytes, path: str) -> Network:
    """A configuration list, or a single configuration as a list of one. Raises CniError."""
    try:
        document = json.loads(source)
        plugins = document.get("plugins", [document])
        return Network(
            name=document["name"],
            version=document.get("cniVersion", "0.2.0"),
            plugins=tuple(plugins),
            source=source,
            path=path,
            checks=not document.get("disableCheck", False),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CniError(f"{path}: not a network configuration: {error!r}") from error


def configurations(directory: str = CONFIGURATIONS) -> list[str]:
    """Files a runtime looks at, in its order: the first one is the node's network."""
    with contextlib.suppress(FileNotFoundError):
        names = sorted(os.listdir(directory))
        return [os.path.join(directory, name) for name in names if name.endswith((".conf", ".conflist", ".json"))]
    return []


def load(path: str = "", directory: str = CONFIGURATIONS) -> Network:
    """The configuration at a path, or the one a runtime would take."""
    if not path:
        found = configurations(directory)
        if not found:
            raise CniError(f"{directory}: there is no network configuration")
        path = found[0]
    try:
        with open(path, "rb") as stream:
            return parse(stream.read(), path)
    except OSError as error:
        raise CniError(f"{path}: {error.strerror}") from error


def container_id(namespace: str) -> str:
    """An id for a namespace that no other host uses too: IPAM of a whole cluster keys on it.

    Plugins name links after its first characters, so that these tell namespaces apart.
    """
    name = f"{socket.gethostname()}/{namespace}"
    return f"{hashlib.sha256(name.encode()).hexdigest()[:20]}-netns"


def addresses(result: dict[str, Any]) -> list[str]:
    """Addresses of a result, with their prefix length, in all forms the specification has had."""
    if "ips" in result:
        return [entry["address"] for entry in result["ips"]]
    return [result[key]["ip"] for key in ("ip4", "ip6") if key in result]


def first_addresses(result: dict[str, Any]) -> list[str]:
    """The first address of each IP version that a result has, with its prefix length: IPv4 before IPv6."""
    every = [ipaddress.ip_interface(address) for address in addresses(result)]
    found = (next((one for one in every if one.version == version), None) for version in (4, 6))
    return [str(one) for one in found if one]


def gateways(result: dict[str, Any]) -> list[str]:
    """Gateways of a result."""
    if "ips" in result:
        return [entry["gateway"] for entry in result["ips"] if entry.get("gateway")]
    return [result[key]["gateway"] for key in ("ip4", "ip6") if result.get(key, {}).get("gateway")]


class Runtime:
    """Runs plugins and keeps their results."""

    def __init__(self, run: Run, plugins: str = PLUGINS, cache: str = CACHE) -> None:
        self.run = run
        self.plugins = plugins
        self.cache = cache

    def cached(self, network: str, attachment: Attachment) -> dict[str, Any] | None:
        """What the cache holds of an attachment; None where it holds nothing."""
        try:
            with open(self._cache_file(network, attachment), encoding="utf-8") as stream:
                return dict(json.load(stream))
        except (FileNotFoundError, ValueError):
            return None

    def attachments(self, network: str) -> list[Attachment]:
        """Attachments of a network that the cache knows."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.cache)):
                if name.startswith(f"{network}-"):
                    with open(os.path.join(self.cache, name), encoding="utf-8") as stream:
                        kept = json.load(stream)
                    found.append(_attachment(kept))
        return found

    def networks(self, attachment: Attachment) -> list[str]:
        """Names of the networks that an attachment is in."""
        suffix = f"-{attachment.container_id}-{attachment.interface}"
        with contextlib.suppress(FileNotFoundError):
            return [name[: -len(suffix)] for name in sorted(os.listdir(self.cache)) if name.endswith(suffix)]
        return []

    def add(self, network: Network, attachment: Attachment) -> dict[str, Any]:
        """Attach; on a failure detach what was begun, and raise with the plugin's own words."""
        result: dict[str, Any] = {}
        try:
            for plugin in network.plugins:
                result = self._call("ADD", network, plugin, attachment, result or None)
        except CniError:
            with contextlib.suppress(CniError):
                self._undo(network, attachment, None)
            raise
        self._keep(network, attachment, result)
        return result

    def check(self, network: Network, attachment: Attachment) -> None:
        """Raise CniError unless the attachment is still as it was made."""
        kept = self.cached(network.name, attachment)
        if kept is None:
            raise CniError("not attached")
        if not network.checks or _numbers(network.version) < CHECKED_SINCE:
            return
        for plugin in network.plugins:
            self._call("CHECK", network, plugin, attachment, kept["result"])

    def delete(self, name: str, attachment: Attachment) -> None:
        """Detach, through the configuration the attachment was made with."""
        kept = self.cached(name, attachment)
        if kept is None:
            return
        network = parse(base64.b64decode(kept["config"]), self._cache_file(name, attachment))
        self._undo(network, _attachment(kept), kept["result"])
        os.unlink(self._cache_file(name, attachment))

    def leave(self, network: str, check_mode: bool) -> list[str]:
        """Detach all that the cache knows of a network; return what was done, or would be in check mode."""
        found = self.attachments(network)
        if not check_mode:
            for attachment in found:
                self.delete(network, attachment)
        return [f"detach {attachment.namespace}" for attachment in found]

    def _undo(self, network: Network, attachment: Attachment, result: dict[str, Any] | None) -> None:
        """Run DEL of every plugin, also after one that fails: each has something of its own to give back."""
        failures = []
        for plugin in reversed(network.plugins):
            try:
                self._call("DEL", network, plugin, attachment, result)
            except CniError as error:
                failures.append(str(error))
        if failures:
            raise CniError("; ".join(failures))

    def _call(
        self,
        command: str,
        network: Network,
        plugin: dict[str, Any],
        attachment: Attachment,
        previous: dict[str, Any] | None,
    ) -> dict[str, Any]:
        program = os.path.join(self.plugins, plugin["type"])
        if not os.access(program, os.X_OK):
            raise CniError(f"{command} {plugin['type']}: there is no plugin {program}")
        settings = {**plugin, "name": network.name, "cniVersion": network.version}
        wanted = {name for name, wants in plugin.get("capabilities", {}).items() if wants}
        if attachment.labels:
            labels = [{"key": key, "value": value} for key, value in attachment.labels.items()]
            settings["args"] = {MESOS: {"network_info": {"labels": {"labels": labels}}}}
        given = {name: value for name, value in attachment.capabilities.items() if name in wanted}
        if given:
            settings["runtimeConfig"] = given
        if previous is not None:
            settings["prevResult"] = previous
        code, out, err = self.run(
            [program],
            data=json.dumps(settings),
            environ_update={
                "CNI_COMMAND": command,
                "CNI_CONTAINERID": attachment.container_id,
                "CNI_NETNS": attachment.namespace,
                "CNI_IFNAME": attachment.interface,
                "CNI_PATH": self.plugins,
                "CNI_ARGS": ";".join(f"{key}={value}" for key, value in attachment.arguments.items()),
            },
        )
        if code != 0:
            raise CniError(f"{command} {plugin['type']}: {_complaint(out, err)}")
        return dict(json.loads(out)) if command == "ADD" else {}

    def _cache_file(self, network: str, attachment: Attachment) -> str:
        return os.path.join(self.cache, f"{network}-{attachment.container_id}-{attachment.interface}")

    def _keep(self, network: Network, attachment: Attachment, result: dict[str, Any]) -> None:
        """Write the result as libcni does (libcni/api.go, cachedInfo)."""
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        kept = {
            "kind": "cniCacheV1",
            "containerId": attachment.container_id,
            "config": base64.b64encode(network.source).decode(),
            "ifName": attachment.interface,
            "networkName": network.name,
            "netns": attachment.namespace,
            "cniArgs": [[key, value] for key, value in attachment.arguments.items()],
            "capabilityArgs": attachment.capabilities,
            # Our own; libcni passes it over.
            "labels": attachment.labels,
            "result": result,
        }
        with open(self._cache_file(network.name, attachment), "w", encoding="utf-8") as stream:
            json.dump(kept, stream)


def forget(paths: Sequence[str], check_mode: bool) -> list[str]:
    """Remove directories in which plugins and daemons kept a network's state, and those of CNI that are empty then.

    Returns what was done, or would be in check mode.
    """
    there = [path for path in paths if os.path.exists(path)]
    if not check_mode:
        for path in there:
            shutil.rmtree(path)
        for path in (*(os.path.dirname(path) for path in paths), CACHE):
            while path.startswith(ROOTS):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
                path = os.path.dirname(path)
    return [f"remove {path}" for path in there]


def check_addresses(run: Run, attachment: Attachment, result: dict[str, Any]) -> None:
    """Raise CniError unless the interface has the addresses of the result."""
    namespace = os.path.basename(attachment.namespace)
    code, out, err = run(["ip", "-n", namespace, "-json", "address", "show", "dev", attachment.interface])
    if code != 0:
        raise CniError(err.strip())
    found = {f"{a['local']}/{a['prefixlen']}" for link in json.loads(out) for a in link.get("addr_info", ())}
    missing = [address for address in addresses(result) if address not in found]
    if missing:
        raise CniError(f"{attachment.interface} has lost {', '.join(missing)}")


def settle(run: Run, gateways: Sequence[str], seconds: float = 3.0) -> None:
    """Wait until the host's links that are IPv6 gateways are ready, which a bridge is not in its first two seconds.

    Until then it looks for duplicates of its addresses (RFC 4862), and asks for no neighbour.
    """
    wanted = {address for address in gateways if ":" in address}
    until = time.monotonic() + seconds
    while wanted and time.monotonic() < until:
        links = [link["addr_info"] for link in _iproute.IpRoute(run).links()]
        held = [one for link in links if wanted & {one.get("local", "") for one in link} for one in link]
        if not any(one.get("tentative") and not one.get("dadfailed") for one in held):
            return
        time.sleep(0.1)


def make_namespace(run: Run, name: str) -> None:
    """Make a named network namespace with its loopback up, as a runtime does."""
    for command in (["ip", "netns", "add", name], ["ip", "-n", name, "link", "set", "lo", "up"]):
        code, _out, err = run(command)
        if code != 0:
            raise CniError(f"{' '.join(command)}: {err.strip()}")


def remove_namespace(run: Run, name: str) -> None:
    """Remove a named network namespace."""
    if os.path.exists(os.path.join(NAMESPACES, name)):
        code, _out, err = run(["ip", "netns", "delete", name])
        if code != 0:
            raise CniError(f"ip netns delete {name}: {err.strip()}")


def _attachment(kept: dict[str, Any]) -> Attachment:
    return Attachment(
        container_id=kept["containerId"],
        namespace=kept.get("netns", ""),
        interface=kept["ifName"],
        arguments=dict(kept.get("cniArgs") or ()),
        capabilities=kept.get("capabilityArgs") or {},
        labels=kept.get("labels") or {},
    )


def _complaint(out: str, err: str) -> str:
    """A plugin's error as it reports it on its standard output (specification, section 5)."""
    try:
        said = json.loads(out)
        details = f": {said['details']}" if said.get("details") else ""
        return f"code {said['code']}: {said['msg']}{details}"
    except (ValueError, KeyError, TypeError):
        return (err or out).strip() or "it failed without a word"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
