# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""Kubeconfigs as structures: where they lead and as whom, and leading them elsewhere.

The form is that of client-go's v1 Config: lists of named clusters, users and contexts, and the name
of the current context. Nothing here touches a file or a host.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

Config = dict[str, Any]
# What a trust or a credential replaces: client-go refuses, or sends, more than one.
TRUST = ("certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify")
CREDENTIAL = (
    "client-certificate", "client-certificate-data", "client-key", "client-key-data",
    "token", "tokenFile", "username", "password", "exec", "auth-provider",
)  # fmt: skip


class KubeconfigError(Exception):
    """A kubeconfig cannot be pointed to another server; the message says why, and what to do."""


@dataclass(frozen=True)
class Names:
    """Names of the entries that belong together in a kubeconfig."""

    cluster: str
    user: str
    context: str


@dataclass(frozen=True)
class Connection:
    """Where a kubeconfig leads and as whom, as fields of its cluster and its user."""

    cluster: Mapping[str, Any]
    user: Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """Takes a time for the text that it is, as client-go does."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse(data: bytes) -> Config:
    """A kubeconfig from its text, YAML or JSON."""
    try:
        found = yaml.load(data, _Loader)
    except yaml.YAMLError as error:
        raise KubeconfigError(f"not YAML: {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(found.get(kind) or [], list) for kind in KINDS.values()):
        raise KubeconfigError("not a kubeconfig; move it away, or name another path")
    return found


KINDS = {"cluster": "clusters", "user": "users", "context": "contexts"}


def render(config: Config) -> bytes:
    """The text of a kubeconfig."""
    # Ansible's strings carry tags that YAML cannot represent; JSON knows plain ones only.
    text: str = yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
    return text.encode()


def names(config: Config, cluster: str = "", user: str = "", context: str = "") -> Names:
    """Names of the entries in use; those that are given come first."""
    there = [str(entry.get("name")) for entry in config.get("contexts") or []]
    context = context or str(config.get("current-context") or "")
    if not context and len(there) > 1:
        raise KubeconfigError(f"it has no current context; name one of {', '.join(there)} as context")
    context = context or (there[0] if there else "default")
    used = _get(config, "context", context)
    return Names(cluster or used.get("cluster") or "kubernetes", user or used.get("user") or "default", context)


def connection(config: Config, which: Names) -> Connection:
    """Where the named entries of a kubeconfig lead, and as whom."""
    cluster, user = _get(config, "cluster", which.cluster), _get(config, "user", which.user)
    return Connection(
        {field: cluster[field] for field in ("server", *TRUST) if field in cluster},
        {field: user[field] for field in CREDENTIAL if field in user},
    )


def retargeted(config: Config, which: Names, wanted: Connection) -> Config:
    """The kubeconfig with its named entries pointed to another server; all else is kept.

    A trust or a credential that is wanted replaces every other; without one, what is there stays.
    """
    made = copy.deepcopy(config) or {"apiVersion": "v1", "kind": "Config"}
    cluster = _entry(made, "cluster", which.cluster)
    if any(field in TRUST for field in wanted.cluster):
        _drop(cluster, TRUST)
    cluster.update(wanted.cluster)
    user = _entry(made, "user", which.user)
    if wanted.user:
        _drop(user, CREDENTIAL)
    user.update(wanted.user)
    _entry(made, "context", which.context).update(cluster=which.cluster, user=which.user)
    if not made.get("current-context"):
        made["current-context"] = which.context
    return made


def restored(config: Config, which: Names, before: Config) -> Config:
    """The kubeconfig with its named entries as they were before; what others did to the rest is kept."""
    made = copy.deepcopy(config)
    former = connection(before, which)
    for kind, name, owned, fields in (
        ("cluster", which.cluster, ("server", *TRUST), former.cluster),
        ("user", which.user, CREDENTIAL, former.user),
    ):
        entry = _entry(made, kind, name)
        _drop(entry, owned)
        entry.update(fields)
    context, used = _entry(made, "context", which.context), _get(before, "context", which.context)
    for field in ("cluster", "user"):
        context.pop(field, None)
        if field in used:
            context[field] = used[field]
    for kind, name in (("cluster", which.cluster), ("user", which.user), ("context", which.context)):
        if not _get(made, kind, name) and name not in _names(before, kind):
            made[KINDS[kind]] = [entry for entry in made[KINDS[kind]] if entry.get("name") != name]
    if made.get("current-context") == which.context and not before.get("current-context"):
        made["current-context"] = before.get("current-context")
    return {key: value for key, value in made.items() if value or key in before}


def _names(config: Config, kind: str) -> list[str]:
    return [entry.get("name") for entry in config.get(KINDS[kind]) or []]


def _get(config: Config, kind: str, name: str) -> dict[str, Any]:
    """Fields of a named entry; empty where there is none."""
    for entry in config.get(KINDS[kind]) or []:
        if entry.get("name") == name:
            return entry.get(kind) or {}
    return {}


def _entry(config: Config, kind: str, name: str) -> dict[str, Any]:
    """Fields of a named entry, which is made where there is none."""
    if not config.get(KINDS[kind]):
        config[KINDS[kind]] = []
    for entry in config[KINDS[kind]]:
        if entry.get("name") == name:
            if not entry.get(kind):
                entry[kind] = {}
            found: dict[str, Any] = entry[kind]
            return found
    made: dict[str, Any] = {}
    config[KINDS[kind]].append({"name": name, kind: made})
    return made


def _drop(entry: dict[str, Any], fields: tuple[str, ...]) -> None:
    for field in fields:
        entry.pop(field, None)
