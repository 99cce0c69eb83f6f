# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A client of etcd, with nothing but Python's standard library.

It speaks gRPC, and not to the gateway that serves the same as JSON: there a certificate says whether a client may
ask, but not which user it is, so an etcd with users refuses all of them. What is asked and answered has the form that
it has at the gateway (https://etcd.io/docs/v3.6/dev-guide/api_grpc_gateway/).
"""

from __future__ import annotations

import base64
import concurrent.futures
import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import grpc, messages as etcd_messages
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.answers import (
    Member,
    Status,
    cluster_id,
    decimal,
    hexadecimal,
    member_of,
    message_of,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd.keys import encode, end_of, never
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.waiting import Waiter

T = TypeVar("T")
# The server is there and the cluster is not: DeadlineExceeded and Unavailable of gRPC.
ELSEWHEN = (4, 14)
# Somebody changed users or roles while etcd looked at the request; it did nothing.
CHANGED_MEANWHILE = "revision in header is old"
# Seconds in which members that elect a leader, or have just started, are healthy again; etcd itself refuses changes of
# its members until they have been connected for five.
SETTLING = 10
# etcd's default for --max-txn-ops.
MOST_OPERATIONS = 128
ARGUMENTS: dict[str, Any] = {
    "endpoints": {"type": "list", "elements": "str", "default": ["https://127.0.0.1:2379"]},
    "ca_cert": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "timeout": {"type": "int", "default": 5},
}


class EtcdError(TaskError):
    """etcd cannot be asked, or refuses; the message says which endpoint and why."""


class Refused(EtcdError):
    """etcd can be asked, and says no."""


def is_to_come(error: EtcdError, check_mode: bool, pending: bool) -> bool:
    """Whether an etcd that is not there in check mode, or refuses, counts as one without keys.

    The run may make it first, and where changes of it are pending also let this client in.
    """
    return check_mode and (pending or not isinstance(error, Refused))


class Client:
    """Asks the endpoints in turn until one answers."""

    def __init__(
        self,
        endpoints: Sequence[str],
        ca_cert: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
        timeout: float = 5,
    ) -> None:
        self.endpoints = [_endpoint(endpoint) for endpoint in endpoints]
        self.timeout = timeout
        self._context: ssl.SSLContext | None = None
        self._plain: ssl.SSLContext | None = None  # for what is not gRPC
        if any(endpoint.startswith("https") for endpoint in self.endpoints):
            for path in filter(None, (ca_cert, client_cert, client_key)):
                if not os.path.exists(path):
                    raise EtcdError(f"{path}: there is no such file")
            try:
                self._context = ssl.create_default_context(cafile=ca_cert)
                self._context.set_alpn_protocols(["h2"])
                self._plain = ssl.create_default_context(cafile=ca_cert)
                if client_cert:
                    self._context.load_cert_chain(client_cert, client_key)
                    self._plain.load_cert_chain(client_cert, client_key)
            except (OSError, ssl.SSLError) as error:
                raise EtcdError(f"{client_cert or ca_cert}: {error}") from error

    @classmethod
    def of(cls, params: dict[str, Any]) -> Client:
        """The client that a module's connection options describe."""
        return cls(
            params["endpoints"],
            params["ca_cert"],
            params["client_cert"],
            params["client_key"],
            params["timeout"],
        )

    def ask(self, endpoint: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to one endpoint; path, body and answer are as at the gateway."""
        method, request, response = etcd_messages.CALLS[path]
        message = etcd_messages.encode(request, body)
        try:
            try:
                answer = self._grpc(endpoint, method, message)
            except grpc.StatusError as error:
                if CHANGED_MEANWHILE not in str(error):
                    raise
                answer = self._grpc(endpoint, method, message)
            return etcd_messages.decode(response, answer)
        except grpc.StatusError as error:
            kind = EtcdError if error.code in ELSEWHEN else Refused
            raise kind(f"{endpoint}: {method}: {error}") from error
        except (OSError, ValueError) as error:
            raise EtcdError(f"{endpoint}: {error or type(error).__name__}") from error

    def _grpc(self, endpoint: str, method: str, message: bytes) -> bytes:
        url = urllib.parse.urlsplit(endpoint)
        context = self._context if url.scheme == "https" else None
        port = url.port or (443 if context else 80)
        return grpc.call(url.hostname or "", port, context, f"/etcdserverpb.{method}", message, self.timeout)

    def _get(self, endpoint: str, path: str) -> dict[str, Any]:
        """What an endpoint answers beside gRPC, without a certificate's rights."""
        url = urllib.parse.urlsplit(endpoint)
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            connection = http.client.HTTPSConnection(
                url.hostname or "", url.port, timeout=self.timeout, context=self._plain
            )
        else:
            connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=self.timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            said = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise EtcdError(f"{endpoint}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise EtcdError(f"{endpoint}{path}: {message_of(said)}")
        return _object(said, f"{endpoint}{path}")

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to the first endpoint that answers. Raises Refused where one says no and none yes."""
        failures = []
        for endpoint in self.endpoints:
            try:
                return self.ask(endpoint, path, body)
            except EtcdError as error:
                failures.append(error)
        kind = Refused if any(isinstance(error, Refused) for error in failures) else EtcdError
        raise kind("; ".join(map(str, failures)))

    def each(self, ask: Callable[[str], T]) -> dict[str, T | EtcdError]:
        """Ask every endpoint at once; a failure is the result for its endpoint."""

        def guarded(endpoint: str) -> T | EtcdError:
            try:
                return ask(endpoint)
            except EtcdError as error:
                return error

        with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(self.endpoints))) as pool:
            return dict(zip(self.endpoints, pool.map(guarded, self.endpoints)))

    def health(self, endpoint: str, exclude: Sequence[str] = ()) -> bool:
        """Whether a member is healthy: it answers after a read that needed the quorum.

        Alarms in ``exclude``, such as NOSPACE, do not count. Raises EtcdError, with the member's reason,
        where it is not healthy.
        """
        query = urllib.parse.urlencode([("exclude", alarm) for alarm in exclude])
        answer = self._get(endpoint, f"/health?{query}" if query else "/health")
        if answer.get("health") != "true":
            raise EtcdError(f"{endpoint}: {answer.get('reason') or 'not healthy'}")
        return True

    def status(self, endpoint: str) -> Status:
        """What a member says of itself."""
        answer = self.ask(endpoint, "/v3/maintenance/status", {})
        return Status(
            member_id=hexadecimal(answer.get("header", {}).get("member_id", "0")),
            version=answer.get("version", ""),
            leader=hexadecimal(answer.get("leader", "0")),
            raft_index=int(answer.get("raftIndex", 0)),
            raft_applied_index=int(answer.get("raftAppliedIndex", 0)),
            raft_term=int(answer.get("raftTerm", 0)),
            db_size=int(answer.get("dbSize", 0)),
            db_size_in_use=int(answer.get("dbSizeInUse", 0)),
            db_size_quota=int(answer.get("dbSizeQuota", 0)),
            learner=bool(answer.get("isLearner", False)),
            errors=tuple(answer.get("errors", ())),
        )

    def members(self, linearizable: bool = True) -> list[Member]:
        """The members of the cluster, as the quorum, or else the member asked, knows them."""
        return self.membership(linearizable)[1]

    def cluster_of(self, endpoint: str) -> str:
        """The id of the cluster that a member serves, in hexadecimal."""
        return cluster_id(self.ask(endpoint, "/v3/cluster/member/list", {"linearizable": False}))

    def membership(self, linearizable: bool = True) -> tuple[str, list[Member]]:
        """The id of the cluster in hexadecimal, and its members."""
        answer = self.call("/v3/cluster/member/list", {"linearizable": linearizable})
        return cluster_id(answer), [member_of(entry) for entry in answer.get("members", ())]

    def add_learner(self, peer_url: str) -> list[Member]:
        """Add a member that does not vote yet; return all members."""
        answer = self.call("/v3/cluster/member/add", {"peerURLs": [peer_url], "isLearner": True})
        return [member_of(entry) for entry in answer.get("members", ())]

    def promote_member(self, member_id: str) -> None:
        """Let a learner vote, by its hexadecimal id. Raises EtcdError while it has not caught up."""
        self.call("/v3/cluster/member/promote", {"ID": decimal(member_id)})

    def update_member(self, member_id: str, peer_url: str) -> None:
        """Set where the other members reach a member, by its hexadecimal id."""
        self.call("/v3/cluster/member/update", {"ID": decimal(member_id), "peerURLs": [peer_url]})

    def remove_member(self, member_id: str) -> None:
        """Remove a member by its hexadecimal id, once etcd takes it."""

        def remove() -> None:
            # An answer that was lost: it is gone already.
            if any(one.id == member_id for one in self.members()):
                self.call("/v3/cluster/member/remove", {"ID": decimal(member_id)})

        Waiter(SETTLING).retry(remove, EtcdError)

    def alarms(self) -> list[dict[str, str]]:
        """Raised alarms, as ``{"member", "alarm"}``."""
        answer = self.call("/v3/maintenance/alarm", {"action": "GET"})
        return [
            {"member": hexadecimal(alarm["memberID"]), "alarm": alarm["alarm"]} for alarm in answer.get("alarms", ())
        ]

    def disarm(self, member_id: str, alarm: str) -> None:
        """Take back an alarm that a member raised, by its hexadecimal id."""
        self.call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": decimal(member_id), "alarm": alarm})

    def get(self, key: str) -> str | None:
        """Value of a key; None where there is none."""
        found = self.call("/v3/kv/range", {"key": encode(key)}).get("kvs", ())
        return base64.b64decode(found[0].get("value", "")).decode() if found else None

    def under(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Values under a prefix, as ``{key: {"value", "lease"}}``; a lease of 0 is none."""
        answer = self.call("/v3/kv/range", {"key": encode(prefix), "range_end": end_of(prefix)})
        return {
            base64.b64decode(entry["key"]).decode(): {
                "value": base64.b64decode(entry.get("value", "")).decode(),
                "lease": int(entry.get("lease", 0)),
            }
            for entry in answer.get("kvs", ())
        }

    def put(self, key: str, value: str) -> None:
        """Set a key."""
        self.call("/v3/kv/put", {"key": encode(key), "value": encode(value)})

    def delete(self, key: str) -> None:
        """Remove a key."""
        self.call("/v3/kv/deleterange", {"key": encode(key)})

    def write(self, changes: dict[str, str | None], trial: bool = False) -> None:
        """Set keys, and remove those whose value is None; as many at once as etcd takes, and all or none of those.

        With ``trial`` nothing is written, and what etcd would refuse is refused: it looks at the rights to both
        branches of a transaction, and at the room for what they would write, before it compares. The client needs the
        right to read the keys.
        """
        operations = [
            {"requestDeleteRange": {"key": encode(key)}}
            if value is None
            else {"requestPut": {"key": encode(key), "value": encode(value)}}
            for key, value in changes.items()
        ]
        compare = [never(encode(key)) for key in changes if trial][:1]
        for start in range(0, len(operations), MOST_OPERATIONS):
            self.call("/v3/kv/txn", {"compare": compare, "success": operations[start : start + MOST_OPERATIONS]})

    def grants(self, endpoint: str, prefix: str) -> bool:
        """Whether a member lets this client read and change what is under a prefix; nothing is written.

        As with :meth:`write` on trial, it never comes to the branch that writes. Raises EtcdError where it does not.
        """
        key, end = encode(prefix), end_of(prefix)
        # A key may be in one operation only.
        below = {"key": encode(f"{prefix}\0"), "range_end": end}
        write = [{"requestPut": {"key": key}}, {"requestDeleteRange": below}]
        read = [{"requestRange": {"key": key, "range_end": end, "limit": "1", "keys_only": True}}]
        self.ask(endpoint, "/v3/kv/txn", {"compare": [never(key)], "success": write, "failure": read})
        return True

    def lease_ttl(self, lease: int) -> int:
        """Seconds a lease still has; -1 for one that is over."""
        return int(self.call("/v3/lease/timetolive", {"ID": str(lease)}).get("TTL", -1))


def _endpoint(text: str) -> str:
    """An endpoint without its closing slash. Raises EtcdError for what is no URL of a server."""
    try:
        url = urllib.parse.urlsplit(text)
        good = url.scheme in ("http", "https") and url.hostname and url.port != 0 and text.isprintable()
    except ValueError:
        good = False
    if not good:
        raise EtcdError(f"endpoints: {text}: not a URL such as https://192.0.2.11:2379")
    return text.rstrip("/")


def _object(said: str, where: str) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise EtcdError(f"{where}: not an answer of etcd: {said.strip()[:100]!r}")
    return answer
