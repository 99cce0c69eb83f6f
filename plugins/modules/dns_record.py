#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_record
short_description: DNS records in etcd, where CoreDNS finds them
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Puts and removes records in the form of SkyDNS, which CoreDNS' plugin C(etcd) serves at once, without a reload.
  - A list of any length is one call. Records of other owners, and keys made by hand, stay as they are; what would
    give wrong answers beside them is refused.
  - What etcd would refuse is refused before the first record changes, in check mode too.
  - In check mode, an etcd that is not there yet, or not yet installed, counts as one without records.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
  - binary_cluster.networking._etcd
notes:
  - SkyDNS answers a name that has no record of its own with all records of the names below it. A zone's own
    name has the records of C(apex.dns) in it.
options:
  records:
    description: The records. There may be several of a name.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the record, without the zone's abbreviation. Of a PTR record, the address will do.
        type: str
        required: true
      type:
        description: Type of the record.
        type: str
        choices: [A, AAAA, CNAME, PTR, SRV, TXT]
        default: A
      value:
        description:
          - Value of the record as in a zone file, names without the final dot. For SRV that is priority, weight,
            port and target.
          - Required for O(state=present). For O(state=absent), all records of the name and type go without it.
        type: str
      ttl:
        description: Seconds for which the record may be kept.
        type: int
        default: 300
  state:
    description: Whether the records are there.
    type: str
    choices: [present, absent]
    default: present
  owner:
    description:
      - Who the records belong to, in letters, digits and C(._-@). Only records of this owner are ever changed or
        removed.
    type: str
    default: ansible
  purge:
    description: Whether other records of this owner go. Only with O(state=present).
    type: bool
    default: false
  path:
    description:
      - Key that all records are below, in letters, digits and C(._-/). Those of flannel, Calico and Kubernetes are
        refused.
    type: str
    default: /skydns
  pending:
    description:
      - Whether the run is to change etcd before, such as its users. In check mode, what it refuses until then counts as
        no records.
    type: bool
    default: false
"""

EXAMPLES = r"""
---
# On a member of etcd, whose client may write. That of CoreDNS may read only.
- name: Add names of the registry
  binary_cluster.networking.dns_record:
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    owner: registry
    purge: true
    records:
      - {name: registry.cluster.local, value: 192.0.2.21}
      - {name: registry.cluster.local, value: 192.0.2.22}
      - {name: 192.0.2.21, type: PTR, value: registry.cluster.local}
      - {name: _https._tcp.registry.cluster.local, type: SRV, value: 10 100 5000 registry.cluster.local}
      - {name: images.cluster.local, type: CNAME, value: registry.cluster.local, ttl: 60}
  run_once: true
  delegate_to: "{{ groups['etcd'] | first }}"

- name: Remove one of its addresses
  binary_cluster.networking.dns_record:
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    owner: registry
    state: absent
    records:
      - {name: registry.cluster.local, value: 192.0.2.22}
  run_once: true
  delegate_to: "{{ groups['etcd'] | first }}"

- name: Remove all of its records
  binary_cluster.networking.dns_record:
    ca_cert: /etc/etcd/pki/ca.crt
    client_cert: /etc/etcd/pki/client.crt
    client_key: /etc/etcd/pki/client.key
    owner: registry
    purge: true
  run_once: true
  delegate_to: "{{ groups['etcd'] | first }}"
"""

RETURN = r"""
added:
  description: Records that were put, as lines of a zone file.
  returned: always
  type: list
  elements: str
  sample: ["registry.cluster.local. 300 IN A 192.0.2.21"]
removed:
  description: Records that were removed, as lines of a zone file.
  returned: always
  type: list
  elements: str
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import records as dns_records
from ansible_collections.binary_cluster.networking.plugins.module_utils._dns.records import Record, RecordError
from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd, keys as etcd_keys
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

Changes = dict[str, "str | None"]

OWNER = re.compile(r"[A-Za-z0-9._@-]+")
# Default key prefixes of flannel, Calico and Kubernetes.
OTHERS = ("/coreos.com/", "/calico/", "/registry/")


def plan_present(wanted: Mapping[str, Record], found: Mapping[str, str], owner: str, purge: bool) -> Changes:
    """Keys to write with their values; None for those to remove."""
    changes: Changes = {}
    for key, record in wanted.items():
        value = dns_records.skydns_value(record, owner)
        if found.get(key) != value:
            changes[key] = value
    for key, value in found.items():
        if purge and key not in wanted and dns_records.skydns_owner(value) == owner:
            changes[key] = None
    return changes


def place_faults(owner: str, path: str) -> list[RecordError]:
    """What is wrong with whose records these are, and where they are kept."""
    faults = []
    if not OWNER.fullmatch(owner):
        faults.append(RecordError("owner", repr(owner), "take letters, digits and . _ - @"))
    if not etcd_keys.PLACE.fullmatch(path.rstrip("/")):
        faults.append(RecordError("path", repr(path), "take keys such as /skydns: letters, digits, . _ - /"))
    elif f"{path}/".startswith(OTHERS):
        faults.append(RecordError("path", path, "other components keep their keys there; take one such as /skydns"))
    return faults


def plan_absent(described: Iterable[Record], found: Mapping[str, str], owner: str) -> Changes:
    """Keys to remove: those of the owner that the records describe."""
    changes: Changes = {}
    for key, value in found.items():
        held = dns_records.from_skydns(value)
        if held and dns_records.skydns_owner(value) == owner:
            for record in described:
                if (held.name, held.type) == (record.name, record.type) and record.value in ("", held.value):
                    changes[key] = None
    return changes


def refusals(
    wanted: Mapping[str, Record], places: Mapping[Record, str], found: Mapping[str, str], changes: Changes, params: Any
) -> list[RecordError]:
    """Wanted records that would take the key of somebody else, or give wrong answers beside what is there."""
    owner, path = params["owner"], params["path"]
    taken = [
        RecordError(f"{places[record]}.name", record.name, f"{key} is there, and not of owner {owner}")
        for key, record in wanted.items()
        if key in found and dns_records.skydns_owner(found[key]) != owner
    ]
    stay = [key for key in found if changes.get(key, "") is not None and key not in wanted]
    return [*taken, *dns_records.skydns_faults(wanted, stay, path, places)]


def read(module: HostModule, path: str) -> tuple[etcd.Client | None, dict[str, str]]:
    """A client of etcd, and the keys below a path with their values; no client where there is no etcd yet."""
    try:
        client = etcd.Client.of(module.params)
        return client, {key: entry["value"] for key, entry in client.under(f"{path}/").items()}
    except etcd.EtcdError as error:
        if not etcd.is_to_come(error, module.check_mode, module.params["pending"]):
            raise
    return None, {}


def write(module: HostModule, client: etcd.Client, changes: Changes) -> None:
    """Carry out changes, or see what etcd would refuse of them."""
    try:
        for trial in [True] if module.check_mode else [True, False]:
            client.write(changes, trial)
    except etcd.EtcdError as error:
        if not etcd.is_to_come(error, module.check_mode, module.params["pending"]):
            raise


OPTIONS: dict[str, Any] = {
    **etcd.ARGUMENTS,
    "records": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "choices": list(dns_records.TYPES), "default": "A"},
            "value": {"type": "str"},
            "ttl": {"type": "int", "default": dns_records.DEFAULT_TTL},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "owner": {"type": "str", "default": "ansible"},
    "purge": {"type": "bool", "default": False},
    "path": {"type": "str", "default": "/skydns"},
    "pending": {"type": "bool", "default": False},
}


def main() -> None:
    module = HostModule(
        argument_spec=OPTIONS,
        supports_check_mode=True,
    )
    params = module.params
    present, owner, path = params["state"] == "present", params["owner"], params["path"].rstrip("/")
    records, faults = dns_records.read(params["records"], partial=not present)
    # Records of an owner that is no word can still be removed.
    faults = [*place_faults(owner if present else "ansible", params["path"]), *faults]
    if faults:
        module.fail_json(msg="\n".join(map(str, faults)))
    with module.reporting():
        client, found = read(module, path)
        if present:
            wanted, faults = dns_records.skydns_keys(records, path, owner)
            changes = plan_present(wanted, found, owner, params["purge"])
            faults += refusals(wanted, records, found, changes, params)
            if faults:
                module.fail_json(msg="\n".join(map(str, faults)))
        else:
            changes = plan_absent(records, found, owner)
        if client:
            write(module, client, changes)
    added = sorted(str(dns_records.from_skydns(value)) for value in changes.values() if value is not None)
    removed = sorted(str(dns_records.from_skydns(found[key])) for key in changes if key in found)
    module.exit_json(
        changed=bool(changes),
        added=added,
        removed=removed,
        diff={
            "before_header": path,
            "after_header": path,
            "before": "".join(f"{one}\n" for one in removed),
            "after": "".join(f"{one}\n" for one in added),
        },
    )


if __name__ == "__main__":
    main()
