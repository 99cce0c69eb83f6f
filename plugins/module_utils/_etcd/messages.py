# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""etcd's messages, as JSON and as protocol buffers.

The JSON is that of etcd's gateway: keys and values in base64, 64-bit numbers as strings, values of enumerations by
their names, and nothing for what is zero or empty. Fields, numbers and types are those of etcd's
api/etcdserverpb/rpc.proto, api/authpb/auth.proto and api/mvccpb/kv.proto; fields that are not here are skipped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

# Name: (number, type); a type with * is repeated, one in capitals is an enumeration or a message.
MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ResponseHeader": {
        "cluster_id": (1, "uint64"),
        "member_id": (2, "uint64"),
        "revision": (3, "int64"),
        "raft_term": (4, "uint64"),
    },
    "KeyValue": {
        "key": (1, "bytes"),
        "create_revision": (2, "int64"),
        "mod_revision": (3, "int64"),
        "version": (4, "int64"),
        "value": (5, "bytes"),
        "lease": (6, "int64"),
    },
    "RangeRequest": {
        "key": (1, "bytes"),
        "range_end": (2, "bytes"),
        "limit": (3, "int64"),
        "revision": (4, "int64"),
        "sort_order": (5, "SortOrder"),
        "sort_target": (6, "SortTarget"),
        "serializable": (7, "bool"),
        "keys_only": (8, "bool"),
        "count_only": (9, "bool"),
    },
    "RangeResponse": {
        "header": (1, "ResponseHeader"),
        "kvs": (2, "KeyValue*"),
        "more": (3, "bool"),
        "count": (4, "int64"),
    },
    "PutRequest": {
        "key": (1, "bytes"),
        "value": (2, "bytes"),
        "lease": (3, "int64"),
        "prev_kv": (4, "bool"),
        "ignore_value": (5, "bool"),
        "ignore_lease": (6, "bool"),
    },
    "PutResponse": {"header": (1, "ResponseHeader"), "prev_kv": (2, "KeyValue")},
    "DeleteRangeRequest": {"key": (1, "bytes"), "range_end": (2, "bytes"), "prev_kv": (3, "bool")},
    "DeleteRangeResponse": {
        "header": (1, "ResponseHeader"),
        "deleted": (2, "int64"),
        "prev_kvs": (3, "KeyValue*"),
    },
    "RequestOp": {
        "request_range": (1, "RangeRequest"),
        "request_put": (2, "PutRequest"),
        "request_delete_range": (3, "DeleteRangeRequest"),
        "request_txn": (4, "TxnRequest"),
    },
    "ResponseOp": {
        "response_range": (1, "RangeResponse"),
        "response_put": (2, "PutResponse"),
        "response_delete_range": (3, "DeleteRangeResponse"),
        "response_txn": (4, "TxnResponse"),
    },
    "Compare": {
        "result": (1, "CompareResult"),
        "target": (2, "CompareTarget"),
        "key": (3, "bytes"),
        "version": (4, "int64"),
        "create_revision": (5, "int64"),
        "mod_revision": (6, "int64"),
        "value": (7, "bytes"),
        "lease": (8, "int64"),
        "range_end": (64, "bytes"),
    },
    "TxnRequest": {"compare": (1, "Compare*"), "success": (2, "RequestOp*"), "failure": (3, "RequestOp*")},
    "TxnResponse": {"header": (1, "ResponseHeader"), "succeeded": (2, "bool"), "responses": (3, "ResponseOp*")},
    "CompactionRequest": {"revision": (1, "int64"), "physical": (2, "bool")},
    "LeaseGrantRequest": {"TTL": (1, "int64"), "ID": (2, "int64")},
    "LeaseGrantResponse": {
        "header": (1, "ResponseHeader"),
        "ID": (2, "int64"),
        "TTL": (3, "int64"),
        "error": (4, "string"),
    },
    "LeaseRevokeRequest": {"ID": (1, "int64")},
    "LeaseTimeToLiveRequest": {"ID": (1, "int64"), "keys": (2, "bool")},
    "LeaseTimeToLiveResponse": {
        "header": (1, "ResponseHeader"),
        "ID": (2, "int64"),
        "TTL": (3, "int64"),
        "grantedTTL": (4, "int64"),
        "keys": (5, "bytes*"),
    },
    "Member": {
        "ID": (1, "uint64"),
        "name": (2, "string"),
        "peerURLs": (3, "string*"),
        "clientURLs": (4, "string*"),
        "isLearner": (5, "bool"),
    },
    "MemberListRequest": {"linearizable": (1, "bool")},
    "MemberAddRequest": {"peerURLs": (1, "string*"), "isLearner": (2, "bool")},
    "MemberAddResponse": {"header": (1, "ResponseHeader"), "member": (2, "Member"), "members": (3, "Member*")},
    "MemberUpdateRequest": {"ID": (1, "uint64"), "peerURLs": (2, "string*")},
    "MemberIdRequest": {"ID": (1, "uint64")},
    "MembersResponse": {"header": (1, "ResponseHeader"), "members": (2, "Member*")},
    "MoveLeaderRequest": {"targetID": (1, "uint64")},
    "AlarmRequest": {"action": (1, "AlarmAction"), "memberID": (2, "uint64"), "alarm": (3, "AlarmType")},
    "AlarmMember": {"memberID": (1, "uint64"), "alarm": (2, "AlarmType")},
    "AlarmResponse": {"header": (1, "ResponseHeader"), "alarms": (2, "AlarmMember*")},
    "HashKVRequest": {"revision": (1, "int64")},
    "HashKVResponse": {
        "header": (1, "ResponseHeader"),
        "hash": (2, "uint64"),
        "compact_revision": (3, "int64"),
        "hash_revision": (4, "int64"),
    },
    "StatusResponse": {
        "header": (1, "ResponseHeader"),
        "version": (2, "string"),
        "dbSize": (3, "int64"),
        "leader": (4, "uint64"),
        "raftIndex": (5, "uint64"),
        "raftTerm": (6, "uint64"),
        "raftAppliedIndex": (7, "uint64"),
        "errors": (8, "string*"),
        "dbSizeInUse": (9, "int64"),
        "isLearner": (10, "bool"),
        "storageVersion": (11, "string"),
        "dbSizeQuota": (12, "int64"),
    },
    "Permission": {"permType": (1, "PermissionType"), "key": (2, "bytes"), "range_end": (3, "bytes")},
    "UserAddOptions": {"no_password": (1, "bool")},
    "UserAddRequest": {"name": (1, "string"), "password": (2, "string"), "options": (3, "UserAddOptions")},
    "NameRequest": {"name": (1, "string")},
    "RoleRequest": {"role": (1, "string")},
    "UserGrantRoleRequest": {"user": (1, "string"), "role": (2, "string")},
    "UserRevokeRoleRequest": {"name": (1, "string"), "role": (2, "string")},
    "RoleGrantPermissionRequest": {"name": (1, "string"), "perm": (2, "Permission")},
    "RoleRevokePermissionRequest": {"role": (1, "string"), "key": (2, "bytes"), "range_end": (3, "bytes")},
    "AuthStatusResponse": {"header": (1, "ResponseHeader"), "enabled": (2, "bool"), "authRevision": (3, "uint64")},
    "UserGetResponse": {"header": (1, "ResponseHeader"), "roles": (2, "string*")},
    "UserListResponse": {"header": (1, "ResponseHeader"), "users": (2, "string*")},
    "RoleGetResponse": {"header": (1, "ResponseHeader"), "perm": (2, "Permission*")},
    "RoleListResponse": {"header": (1, "ResponseHeader"), "roles": (2, "string*")},
    "WalRecord": {"type": (1, "int64"), "crc": (2, "uint32"), "data": (3, "bytes")},
    "WalMetadata": {"NodeID": (1, "uint64"), "ClusterID": (2, "uint64")},
    "Empty": {},
    "HeaderResponse": {"header": (1, "ResponseHeader")},
}
ENUMERATIONS: dict[str, tuple[str, ...]] = {
    "SortOrder": ("NONE", "ASCEND", "DESCEND"),
    "SortTarget": ("KEY", "VERSION", "CREATE", "MOD", "VALUE"),
    "CompareResult": ("EQUAL", "GREATER", "LESS", "NOT_EQUAL"),
    "CompareTarget": ("VERSION", "CREATE", "MOD", "VALUE", "LEASE"),
    "AlarmAction": ("GET", "ACTIVATE", "DEACTIVATE"),
    "AlarmType": ("NONE", "NOSPACE", "CORRUPT"),
    "PermissionType": ("READ", "WRITE", "READWRITE"),
}
# Path at the gateway: method, request, response.
CALLS: dict[str, tuple[str, str, str]] = {
    "/v3/kv/range": ("KV/Range", "RangeRequest", "RangeResponse"),
    "/v3/kv/put": ("KV/Put", "PutRequest", "PutResponse"),
    "/v3/kv/deleterange": ("KV/DeleteRange", "DeleteRangeRequest", "DeleteRangeResponse"),
    "/v3/kv/txn": ("KV/Txn", "TxnRequest", "TxnResponse"),
    "/v3/kv/compaction": ("KV/Compact", "CompactionRequest", "HeaderResponse"),
    "/v3/lease/grant": ("Lease/LeaseGrant", "LeaseGrantRequest", "LeaseGrantResponse"),
    "/v3/lease/revoke": ("Lease/LeaseRevoke", "LeaseRevokeRequest", "HeaderResponse"),
    "/v3/lease/timetolive": ("Lease/LeaseTimeToLive", "LeaseTimeToLiveRequest", "LeaseTimeToLiveResponse"),
    "/v3/cluster/member/list": ("Cluster/MemberList", "MemberListRequest", "MembersResponse"),
    "/v3/cluster/member/add": ("Cluster/MemberAdd", "MemberAddRequest", "MemberAddResponse"),
    "/v3/cluster/member/remove": ("Cluster/MemberRemove", "MemberIdRequest", "MembersResponse"),
    "/v3/cluster/member/update": ("Cluster/MemberUpdate", "MemberUpdateRequest", "MembersResponse"),
    "/v3/cluster/member/promote": ("Cluster/MemberPromote", "MemberIdRequest", "MembersResponse"),
    "/v3/maintenance/status": ("Maintenance/Status", "Empty", "StatusResponse"),
    "/v3/maintenance/alarm": ("Maintenance/Alarm", "AlarmRequest", "AlarmResponse"),
    "/v3/maintenance/defragment": ("Maintenance/Defragment", "Empty", "HeaderResponse"),
    "/v3/maintenance/hashkv": ("Maintenance/HashKV", "HashKVRequest", "HashKVResponse"),
    "/v3/maintenance/transfer-leadership": ("Maintenance/MoveLeader", "MoveLeaderRequest", "HeaderResponse"),
    "/v3/auth/enable": ("Auth/AuthEnable", "Empty", "HeaderResponse"),
    "/v3/auth/disable": ("Auth/AuthDisable", "Empty", "HeaderResponse"),
    "/v3/auth/status": ("Auth/AuthStatus", "Empty", "AuthStatusResponse"),
    "/v3/auth/user/add": ("Auth/UserAdd", "UserAddRequest", "HeaderResponse"),
    "/v3/auth/user/get": ("Auth/UserGet", "NameRequest", "UserGetResponse"),
    "/v3/auth/user/list": ("Auth/UserList", "Empty", "UserListResponse"),
    "/v3/auth/user/delete": ("Auth/UserDelete", "NameRequest", "HeaderResponse"),
    "/v3/auth/user/grant": ("Auth/UserGrantRole", "UserGrantRoleRequest", "HeaderResponse"),
    "/v3/auth/user/revoke": ("Auth/UserRevokeRole", "UserRevokeRoleRequest", "HeaderResponse"),
    "/v3/auth/role/add": ("Auth/RoleAdd", "NameRequest", "HeaderResponse"),
    "/v3/auth/role/get": ("Auth/RoleGet", "RoleRequest", "RoleGetResponse"),
    "/v3/auth/role/list": ("Auth/RoleList", "Empty", "RoleListResponse"),
    "/v3/auth/role/delete": ("Auth/RoleDelete", "RoleRequest", "HeaderResponse"),
    "/v3/auth/role/grant": ("Auth/RoleGrantPermission", "RoleGrantPermissionRequest", "HeaderResponse"),
    "/v3/auth/role/revoke": ("Auth/RoleRevokePermission", "RoleRevokePermissionRequest", "HeaderResponse"),
}
VARINT, EIGHT_BYTES, SIZED, FOUR_BYTES = 0, 1, 2, 5


def encode(message: str, body: dict[str, Any]) -> bytes:
    """A message in the form of protocol buffers. Names may be in camel case, as at the gateway."""
    names = {_camel(name): name for name in MESSAGES[message]}
    encoded = b""
    for given, value in body.items():
        number, kind = MESSAGES[message][names.get(given, given)]
        for one in value if kind.endswith("*") else [value]:
            encoded += _encode_field(number, kind.rstrip("*"), one)
    return encoded


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _encode_field(number: int, kind: str, value: Any) -> bytes:
    if kind in MESSAGES:
        return _sized(number, encode(kind, value))
    if kind == "bytes":
        return _sized(number, base64.b64decode(value))
    if kind == "string":
        return _sized(number, value.encode())
    if kind in ENUMERATIONS:
        value = ENUMERATIONS[kind].index(value)
    return _varint(number << 3 | VARINT) + _varint(int(value) % 2**64)


def _sized(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | SIZED) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    encoded = []
    while number >= 128:
        encoded.append(number % 128 + 128)
        number //= 128
    return bytes([*encoded, number])


def decode(message: str, data: bytes) -> dict[str, Any]:
    """A message in the form of JSON. Raises ValueError where the data are not such a message."""
    fields = {number: (name, kind) for name, (number, kind) in MESSAGES[message].items()}
    body: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in fields:
            continue
        name, kind = fields[number]
        if isinstance(value, bytes) != (kind.rstrip("*") in (*MESSAGES, "bytes", "string")):
            raise ValueError(f"{message}.{name}: not of type {kind}")
        decoded = _decode_value(kind.rstrip("*"), value)
        if kind.endswith("*"):
            body.setdefault(name, []).append(decoded)
        else:
            body[name] = decoded
    return body


def _decode_value(kind: str, value: Any) -> Any:
    if kind in MESSAGES:
        return decode(kind, value)
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "string":
        return value.decode()
    if kind == "bool":
        return bool(value)
    if kind in ENUMERATIONS:
        names = ENUMERATIONS[kind]
        return names[value] if value < len(names) else str(value)
    return str(value - 2**64 if kind == "int64" and value >= 2**63 else value)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields, those of fixed size as bytes."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        wire = tag & 7
        if wire == VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        if wire == SIZED:
            size, at = _read_varint(data, at)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if wire == EIGHT_BYTES else 4
        else:
            raise ValueError(f"not a message: a field of kind {wire}")
        if at + size > len(data):
            raise ValueError("not a message: it ends too early")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        number |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return number, at
    raise ValueError("not a message: it ends too early")
