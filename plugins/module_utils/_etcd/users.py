# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""Users and roles of etcd: what there is, what is wanted, and the steps between.

A user has no password: it is whoever has a certificate with its name. Each user has a role of the same name. Which
users and roles are this collection's is recorded in etcd itself, under a key that only root can read; others stay as
they are.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd, keys as etcd_keys
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

RECORD = "/binary-cluster/etcd-users"
ROOT = "root"
ACCESS = {"read": "READ", "write": "WRITE", "readwrite": "READWRITE"}

# Access by range of keys, which is the first key and the first after it, in base64.
Permissions = dict[tuple[str, str], str]


class UserError(TaskError):
    """Users cannot be brought to the wanted state; the message says what is in the way."""


@dataclass(frozen=True)
class State:
    """What there is. ``users`` are roles by user, ``roles`` permissions by role."""

    enabled: bool = False
    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    roles: Mapping[str, Permissions] = field(default_factory=dict)
    own_users: frozenset[str] = frozenset()
    own_roles: frozenset[str] = frozenset()
    own_switch: bool = False


@dataclass(frozen=True)
class Step:
    """One change: what is said of it, and the request that makes it."""

    text: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)


def read(client: etcd.Client) -> State:
    """What there is. Raises EtcdError where the client is not root."""
    record = json.loads(client.get(RECORD) or "{}")
    return State(
        enabled=bool(client.call("/v3/auth/status", {}).get("enabled")),
        users={
            name: frozenset(client.call("/v3/auth/user/get", {"name": name}).get("roles", ()))
            for name in client.call("/v3/auth/user/list", {}).get("users", ())
        },
        roles={
            name: {
                (one.get("key", ""), one.get("range_end", "")): one.get("permType", "READ")
                for one in client.call("/v3/auth/role/get", {"role": name}).get("perm", ())
            }
            for name in client.call("/v3/auth/role/list", {}).get("roles", ())
        },
        own_users=frozenset(record.get("users", ())),
        own_roles=frozenset(record.get("roles", ())),
        own_switch=bool(record.get("enabled")),
    )


def wanted_permissions(users: list[dict[str, Any]]) -> dict[str, Permissions]:
    """Permissions by role, of the users' permissions as the module takes them."""
    wanted: dict[str, Permissions] = {ROOT: {}}
    for user in users:
        if user["name"] == ROOT:
            raise UserError(f"users: {ROOT}: it may do everything; name a user that may not")
        permissions = wanted.setdefault(user["name"], {})
        for one in user["permissions"]:
            if not one["prefix"]:
                raise UserError(f"users: {user['name']}: an empty prefix is all keys; name a prefix")
            permissions[etcd_keys.span(one["prefix"])] = ACCESS[one["access"]]
    return wanted


def enable(state: State, wanted: Mapping[str, Permissions]) -> list[Step]:
    """Steps to the wanted users, and then to an etcd that asks for users. What a user loses comes last."""
    steps: list[Step] = []
    for name, permissions in wanted.items():
        steps += _role(state, name, permissions)
        steps += _user(state, name)
    if not state.enabled:
        steps.append(Step("enable authentication", "/v3/auth/enable"))
    for name, permissions in wanted.items():
        if name in state.own_roles and name != ROOT:
            steps += _revoke(name, state.roles.get(name, {}), permissions)
    steps += _remove(state, keep=set(wanted))
    return steps


def disable(state: State) -> list[Step]:
    """Steps to an etcd that has none of this collection's users, and asks for users only if it did before."""
    steps = []
    if state.enabled and state.own_switch:
        steps.append(Step("disable authentication", "/v3/auth/disable"))
    # While others use it, root is what they switch it off with.
    keep = {ROOT} if state.enabled and not state.own_switch else set()
    return [*steps, *_remove(state, keep)]


def _role(state: State, name: str, permissions: Permissions) -> Iterator[Step]:
    found = state.roles.get(name)
    if found is None:
        yield Step(f"add role {name}", "/v3/auth/role/add", {"name": name})
    missing = {span: access for span, access in permissions.items() if (found or {}).get(span) != access}
    if missing and found is not None and name not in state.own_roles:
        told = ", ".join(f"{access.lower()} {_text(span)}" for span, access in missing.items())
        raise UserError(
            f"role {name}: it is not of this collection and does not have {told}; grant it there with "
            f"etcdctl role grant-permission --prefix=true {name}, or remove the role"
        )
    for span, access in missing.items():
        permission = {"permType": access, "key": span[0], "range_end": span[1]}
        yield Step(
            f"grant {access.lower()} of {_text(span)} to role {name}",
            "/v3/auth/role/grant",
            {"name": name, "perm": permission},
        )


def _user(state: State, name: str) -> Iterator[Step]:
    roles = state.users.get(name)
    if roles is None:
        options = {"no_password": True}
        yield Step(f"add user {name}", "/v3/auth/user/add", {"name": name, "options": options})
    elif name not in roles and name not in state.own_users:
        raise UserError(
            f"user {name}: it is not of this collection and does not have role {name}; grant it there with "
            f"etcdctl user grant-role {name} {name}, or remove the user"
        )
    if name not in (roles or ()):
        yield Step(f"grant role {name} to user {name}", "/v3/auth/user/grant", {"user": name, "role": name})


def _revoke(name: str, found: Permissions, permissions: Permissions) -> Iterator[Step]:
    for span in found:
        if span not in permissions:
            yield Step(
                f"revoke {_text(span)} from role {name}",
                "/v3/auth/role/revoke",
                {"role": name, "key": span[0], "range_end": span[1]},
            )


def _remove(state: State, keep: set[str]) -> Iterator[Step]:
    for name in sorted((state.own_users & set(state.users)) - keep):
        yield Step(f"remove user {name}", "/v3/auth/user/delete", {"name": name})
    for name in sorted((state.own_roles & set(state.roles)) - keep):
        yield Step(f"remove role {name}", "/v3/auth/role/delete", {"role": name})


def _text(span: tuple[str, str]) -> str:
    """A range of keys as people know it."""
    key, end = (base64.b64decode(part).decode(errors="replace") for part in span)
    return f"{key}*" if end else key


def apply(client: etcd.Client, state: State, steps: list[Step]) -> None:
    """Make the changes, and record what is this collection's: before it is there, and until it is gone."""
    added = {
        what: {step.body["name"] for step in steps if step.path == f"/v3/auth/{what}/add"} for what in ("user", "role")
    }
    gone = {
        "user": {step.body["name"] for step in steps if step.path == "/v3/auth/user/delete"},
        "role": {step.body["role"] for step in steps if step.path == "/v3/auth/role/delete"},
    }
    users, roles = state.own_users | added["user"], state.own_roles | added["role"]
    own_switch = state.own_switch or any(step.path == "/v3/auth/enable" for step in steps)
    _record(client, users, roles, own_switch)
    for step in steps:
        client.call(step.path, step.body)
    own_switch = own_switch and not any(step.path == "/v3/auth/disable" for step in steps)
    _record(client, users - gone["user"], roles - gone["role"], own_switch)


def _record(client: etcd.Client, users: frozenset[str], roles: frozenset[str], own_switch: bool) -> None:
    if not (users or roles or own_switch):
        client.delete(RECORD)
        return
    client.put(RECORD, json.dumps({"users": sorted(users), "roles": sorted(roles), "enabled": own_switch}))
