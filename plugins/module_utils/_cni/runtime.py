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
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._cni import remains as cni_remains
from ansible_collections.binary_cluster.networking.plugins.module_utils._cni.network import (
    CACHE,
    PLUGINS,
    Attachment,
    CniError,
    Network,
    Run,
    parse,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import netns

# What plugins switch on, and a failed ADD or a measurement is not to leave on.
FORWARDING = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
# CHECK came with this version of the specification.
CHECKED_SINCE = (0, 4, 0)
# Calico's plugin takes labels in the form of the runtime that brought them up (CNI conventions, args).
MESOS = "org.apache.mesos"


class PluginMissing(CniError):
    """The binary of a plugin is not there."""


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
                kept = json.load(stream)
        except (FileNotFoundError, ValueError):
            return None
        return kept if isinstance(kept, dict) and kept.get("containerId") and kept.get("ifName") else None

    def own(self, network: str, attachment: Attachment) -> dict[str, Any] | None:
        """The same of an attachment of ours. Raises CniError where another runtime's has its id."""
        kept = self.cached(network, attachment)
        if kept is not None:
            _judge(kept, attachment)
        return kept

    def attachments(self, network: str) -> list[Attachment]:
        """Attachments of a network that the cache knows."""
        return [_attachment(kept) for kept in self._every() if kept.get("networkName") == network]

    def networks(self, attachment: Attachment) -> list[str]:
        """Names of the networks that an attachment is in. Raises CniError where another runtime attached it."""
        wanted = (attachment.container_id, attachment.interface)
        found = [kept for kept in self._every() if (kept.get("containerId"), kept.get("ifName")) == wanted]
        for kept in found:
            _judge(kept, attachment)
        return [kept["networkName"] for kept in found]

    def others(self, attachment: Attachment) -> list[str]:
        """Interfaces of the attachment's namespace that the cache knows besides its own."""
        inside = [kept for kept in self._every() if kept.get("netns") == attachment.namespace]
        return [kept["ifName"] for kept in inside if kept.get("ifName") != attachment.interface]

    def add(self, network: Network, attachment: Attachment) -> dict[str, Any]:
        """Attach; on a failure take back what this call made, and nothing else, and raise with the plugin's own words.

        DEL of the plugin ``bridge`` removes the interface of the given name, whoever made it: an interface that is
        there before ADD is refused here.
        """
        if self._has_interface(attachment):
            name, place = attachment.interface, os.path.basename(attachment.namespace)
            raise CniError(
                f"ADD: {place} has an interface {name} already, which is not attached to {network.name}. Take another "
                f"name for the new one, or remove it with `ip -n {place} link delete {name}`"
            )
        forwarding = _settings(FORWARDING)
        begun: list[dict[str, Any]] = []
        result: dict[str, Any] = {}
        try:
            for plugin in network.plugins:
                self._program("ADD", plugin)
                begun.append(plugin)
                result = self._call("ADD", network, plugin, attachment, result or None)
            self._keep(network, attachment, result)
        except (CniError, OSError) as error:
            self._undo(network, begun, attachment, None)
            _restore(forwarding)
            if isinstance(error, CniError):
                raise
            raise CniError(f"the result of ADD cannot be kept: {error}") from error
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

    def delete(self, name: str, attachment: Attachment, finish: bool = False) -> list[str]:
        """Detach, through the configuration the attachment was made with; return what was not given back.

        A plugin that is gone cannot be asked: what the kept result shows as made by it is removed without it, as far
        as that goes. ``finish`` does the same after any other failure, which otherwise raises CniError.
        """
        kept = self.cached(name, attachment)
        if kept is None:
            return []
        left: list[str] = []
        try:
            network = parse(base64.b64decode(kept.get("config") or ""), self._cache_file(name, attachment))
            failures = self._undo(network, network.plugins, _attachment(kept), kept.get("result"))
            plugins = network.plugins
        except (CniError, ValueError) as error:
            failures, plugins = [error if isinstance(error, CniError) else CniError(str(error))], ()
        if failures:
            if not finish and not all(isinstance(failure, PluginMissing) for failure in failures):
                raise CniError("; ".join(str(failure) for failure in failures))
            left = [str(failure) for failure in failures] + cni_remains.remove(self.run, name, plugins, kept)
        os.unlink(self._cache_file(name, attachment))
        return left

    def leave(self, network: str, check_mode: bool, warn: Callable[[str], None]) -> list[str]:
        """Detach all that the cache knows of a network, whatever fails; return what was done, or would be.

        A namespace that this collection made goes with its last attachment, unless processes run in it.
        """
        actions, record = [], netns.record()
        for attachment in self.attachments(network):
            actions.append(f"detach {attachment.namespace}")
            name = os.path.basename(attachment.namespace)
            ours = attachment.namespace == os.path.join(netns.NAMESPACES, name) and netns.owned(record, name)
            ours = ours and netns.there(name) and not self.others(attachment) and not netns.busy(self.run, name)
            actions += [f"remove network namespace {name}"] if ours else []
            if check_mode:
                continue
            for one in self.delete(network, attachment, finish=True):
                warn(f"{attachment.namespace}: {one}")
            if ours:
                netns.remove(self.run, record, name)
        return actions

    def _every(self) -> Iterator[dict[str, Any]]:
        """All that the cache holds; what cannot be read is nobody's."""
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self.cache)):
                with contextlib.suppress(OSError, ValueError), open(os.path.join(self.cache, name), "rb") as stream:
                    kept = json.load(stream)
                    if isinstance(kept, dict) and kept.get("containerId") and kept.get("ifName"):
                        yield kept

    def _has_interface(self, attachment: Attachment) -> bool:
        code, out, err = self.run(["ip", "-n", os.path.basename(attachment.namespace), "-json", "link", "show"])
        if code != 0:
            raise CniError(f"{attachment.namespace}: {err.strip()}")
        return attachment.interface in [link.get("ifname") for link in json.loads(out or "[]")]

    def _undo(
        self,
        network: Network,
        plugins: Sequence[dict[str, Any]],
        attachment: Attachment,
        result: dict[str, Any] | None,
    ) -> list[CniError]:
        """Run DEL of plugins, also after one that fails: each has something of its own to give back."""
        failures = []
        for plugin in reversed(plugins):
            try:
                self._call("DEL", network, plugin, attachment, result)
            except CniError as error:
                failures.append(error)
        return failures

    def _program(self, command: str, plugin: dict[str, Any]) -> str:
        program = os.path.join(self.plugins, plugin["type"])
        if not os.access(program, os.X_OK):
            raise PluginMissing(f"{command} {plugin['type']}: there is no plugin {program}")
        return program

    def _call(
        self,
        command: str,
        network: Network,
        plugin: dict[str, Any],
        attachment: Attachment,
        previous: dict[str, Any] | None,
    ) -> dict[str, Any]:
        program = self._program(command, plugin)
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
        try:
            return dict(json.loads(out)) if command == "ADD" else {}
        except ValueError as error:
            raise CniError(f"{command} {plugin['type']}: its result is no JSON: {error}") from error

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
        descriptor = os.open(self._cache_file(network.name, attachment), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            json.dump(kept, stream)


@contextlib.contextmanager
def forwarding_kept() -> Iterator[None]:
    """Keep forwarding as it is: the bridge plugin switches it on, and would hide that it was off."""
    before = _settings(FORWARDING)
    try:
        yield
    finally:
        _restore(before)


def _settings(paths: Sequence[str]) -> dict[str, str]:
    """Settings of the kernel by path; a kernel without IPv6 has none of IPv6."""
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="ascii") as stream:
            found[path] = stream.read()
    return found


def _restore(before: dict[str, str]) -> None:
    now = _settings(list(before))
    for path, value in before.items():
        if now.get(path) != value:
            with open(path, "w", encoding="ascii") as stream:
                stream.write(value)


def _judge(kept: dict[str, Any], attachment: Attachment) -> None:
    """Raise CniError where what the cache holds under an attachment's id is another runtime's, or another namespace's.

    What this collection attached has labels, be they none, which no other runtime writes.
    """
    if "labels" not in kept or kept.get("netns") != attachment.namespace:
        raise CniError(
            f"container_id: {attachment.container_id}: {kept.get('netns')} is attached under it"
            f"{'' if 'labels' in kept else ' by another runtime'}; take another container_id"
        )


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
