# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""The only file that runs calicoctl."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._calico import resources as calico_resources
from ansible_collections.binary_cluster.networking.plugins.module_utils._calico.resources import (
    API,
    NAMESPACED,
    Change,
    Key,
    Resource,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

Run = Callable[..., "tuple[int, str, str]"]
ARGUMENTS: dict[str, Any] = {
    "calicoctl": {"type": "path", "default": "/usr/local/bin/calicoctl"},
    "config": {"type": "path", "default": "/etc/calico/calicoctl.cfg"},
    "timeout": {"type": "int", "default": 20},
}
TIMED_OUT = 124  # timeout(1)
# What calicoctl says of a file it cannot take, before it asks the datastore for anything.
UNREADABLE = "Failed to execute command: "
UNKNOWN_FIELD = re.compile(r"(?:wrong location: |into field \w+\.)(\w+)")


class CalicoctlError(TaskError):
    """calicoctl refused, or did not answer; the message is its own."""


class Calicoctl:
    """calicoctl with its configuration. It waits for a datastore that is gone without end; ``timeout`` ends that."""

    def __init__(self, run: Run, params: Mapping[str, Any]) -> None:
        self.run_command = run
        self.program = params["calicoctl"]
        self.config = params["config"]
        self.timeout = params["timeout"]

    def run(self, *words: str, data: Any = None) -> str:
        """Run a command, ``data`` as JSON in the file ``-``; return what it wrote. Raises CalicoctlError."""
        code, out, said = self._run(words, data)
        if code:
            raise CalicoctlError(said)
        return out

    def found(self, kinds: Collection[str]) -> dict[Key, Resource]:
        """All resources of some kinds."""
        found = {}
        # Only those in a namespace take the option that shows all namespaces.
        for options, group in ((("-A",), set(kinds) & set(NAMESPACED)), ((), set(kinds) - set(NAMESPACED))):
            if group:
                wanted = [{"apiVersion": API, "kind": kind} for kind in sorted(group)]
                for listed in _documents(self.run("get", "-f", "-", "-o", "json", *options, data=wanted)):
                    for item in listed["items"]:
                        resource = calico_resources.stored({**item, "kind": listed["kind"].removesuffix("List")})
                        found[resource.key] = resource
        return found

    def unreadable(self, resources: Sequence[Resource]) -> list[tuple[Resource, str]]:
        """Resources that calicoctl does not take for such, as for an unknown field, with what it says."""
        documents = [resource.document() for resource in resources]
        if not resources or not self._refusal(documents):
            return []
        said = ((resource, self._refusal([document])) for resource, document in zip(resources, documents))
        return [(resource, words) for resource, words in said if words]

    def carry_out(self, changes: Sequence[Change]) -> None:
        """Carry out changes; on a failure take back what was done, and raise CalicoctlError."""
        for number, change in enumerate(changes):
            try:
                self._change(change)
            except CalicoctlError as error:
                left = []
                for done in reversed(changes[:number]):
                    try:
                        self._change(done.undone())
                    except CalicoctlError as again:
                        left.append(f"; not undone: {done}: {again}")
                raise CalicoctlError(f"{change.where}: {change}: {error}{''.join(left)}") from error

    def _change(self, change: Change) -> None:
        key = change.key
        if change.after and change.verb in ("create", "replace"):
            self.run(change.verb, "-f", "-", data=change.after.document())
            return
        words = [change.verb, key.kind, key.name, *(["-n", key.namespace] if key.namespace else [])]
        self.run(*words, *(["-p", json.dumps(change.patch())] if change.verb == "patch" else []))

    def _refusal(self, documents: Sequence[Mapping[str, Any]]) -> str:
        said = self._run(("get", "-f", "-", "-o", "json"), documents)[2]
        return said.partition(UNREADABLE)[2].strip()

    def _run(self, words: Sequence[str], data: Any) -> tuple[int, str, str]:
        # In a file, and not on its input, which it may close before all is written.
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as stream:
            if data is not None:
                json.dump(data, stream)
                stream.flush()
            words = [stream.name if word == "-" else word for word in words]
            command = ["timeout", str(self.timeout), self.program, *words, f"--config={self.config}"]
            code, out, err = self.run_command(command)
        if code == TIMED_OUT:
            gone = f"no answer in {self.timeout} s; is the datastore that {self.config} names reachable?"
            raise CalicoctlError(gone)
        return code, out, " ".join((err.strip() or out).split()) if code else ""


def field_place(said: str, resource: Resource, place: str) -> str:
    """The place of the field that calicoctl names in a refusal; that of the resource where it is not certain."""
    named = UNKNOWN_FIELD.search(said)
    with contextlib.suppress(ValueError):
        if named:
            (place,) = calico_resources.places_of(resource.document(), named.group(1), place)
    return place


def _documents(text: str) -> list[dict[str, Any]]:
    """calicoctl shows a single answer without a list around it."""
    shown = json.loads(text)
    return shown if isinstance(shown, list) else [shown]
