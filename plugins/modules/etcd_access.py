#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_access
short_description: Whether etcd takes what a pod network keeps there
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Asks every endpoint for a transaction that would change what is under O(prefix), but never does. etcd looks at
    the client's rights and at its own room first, so what a role would run into half-way is told before its first
    change.
  - The client is one of the O(authority) on the controller. Where it has no certificate yet, it is issued one that is
    kept nowhere.
  - Fails where etcd refuses, does not know the client's authority or is known to none, or does not answer.
extends_documentation_fragment:
  - binary_cluster.networking._attributes.INFO
options:
  endpoints:
    description: Client URLs of etcd.
    type: list
    elements: str
    required: true
  prefix:
    description: Beginning of the keys.
    type: str
    required: true
  authority:
    description: Directory of the authority on the controller, as M(binary_cluster.networking.certificates) makes one.
    type: path
    required: true
  files:
    description:
      - Paths of the C(ca), the C(certificate) and the C(key) of the client, on the controller, in place of those of the
        O(authority). The O(client) is then the common name of that certificate. The action plugin reads them.
    type: dict
    default: {}
  client:
    description: Name of the client's certificate there, and its common name.
    type: str
    required: true
  members:
    description:
      - Addresses of members that the same run brings up. Nothing is said of those that are not there yet, whose
        certificates have ended and are made anew by the run, whose users the run makes, or that have no room, which the
        run sees to. What else they refuse is told, and that they have another authority.
    type: list
    elements: str
    default: []
  new_authority:
    description: Whether the same run gives the O(members) another authority than they have.
    type: bool
    default: false
  passphrase:
    description: Passphrase of the authority's key, where a certificate has to be issued. It stays on the controller.
    type: str
    default: ""
  variable:
    description: What the message calls the O(endpoints).
    type: str
    default: endpoints
  timeout:
    description: Seconds to wait for an answer of one endpoint.
    type: int
    default: 5
  secrets:
    description: The certificates and the key, by the names of their files. The action plugin sets it.
    type: dict
    default: {}
"""

EXAMPLES = r"""
---
- name: Check that etcd accepts Calico's keys
  binary_cluster.networking.etcd_access:
    endpoints: [https://192.0.2.11:2379]
    prefix: /calico/
    authority: "{{ inventory_dir }}-pki/etcd"
    client: calico
"""

RETURN = r"""
granted:
  description: Endpoints that would take it.
  returned: success
  type: list
  elements: str
  sample: [https://192.0.2.11:2379]
"""

import os
import ssl
import urllib.parse
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._etcd import client as etcd
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

DENIED = "permission denied"
# A client is the user that its certificate names, and has a role of the same name.
GRANT = (
    "let this client use it: etcdctl user add {client} --no-password; etcdctl role add {client}; "
    "etcdctl role grant-permission --prefix=true {client} readwrite {prefix}; etcdctl user grant-role {client} {client}"
)
FULL = "space exceeded"
# What etcd says, and what to do then (etcd's api/v3rpc/rpctypes/error.go).
REMEDIES = {
    DENIED: GRANT,
    "user name is empty": "it has users and knows them by certificates; start it with --client-cert-auth and TLS",
    FULL: "make room with etcdctl compact and etcdctl defrag, then etcdctl alarm disarm",
}


# What OpenSSL says of a certificate that no authority we know has signed (X509_V_ERR_* of x509_vfy.h): it is
# self-signed, alone or in a chain, or its issuer is not to be found, or its signature is not the issuer's.
UNKNOWN_ISSUER = (2, 7, 18, 19, 20, 21)


def other_authority(error: etcd.EtcdError) -> bool:
    """Whether we and an endpoint do not know each other's authority, rather than that a certificate has ended."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_code in UNKNOWN_ISSUER
    return isinstance(cause, ssl.SSLError) and "unknown ca" in str(error).lower()


def faults(
    outcomes: Mapping[str, bool | etcd.EtcdError],
    client: str,
    prefix: str,
    authority: str,
    members: Collection[str],
    new_authority: bool = False,
) -> Iterator[str]:
    """What is wrong with each endpoint, and what would be right; nothing where one that answers is enough."""
    failures = {endpoint: outcome for endpoint, outcome in outcomes.items() if isinstance(outcome, etcd.EtcdError)}
    for endpoint, outcome in failures.items():
        why = str(outcome)
        ours = urllib.parse.urlsplit(endpoint).hostname in members
        if ours and (FULL in why or DENIED in why):
            continue  # the run gives it a larger quota, or has refused already; and it gives it users
        if isinstance(outcome, etcd.Refused):
            remedy = next((one for said, one in REMEDIES.items() if said in why), "see to that there")
            yield f"{why}: it takes no change of {prefix}; {remedy.format(client=client, prefix=prefix)}"
        elif len(failures) < len(outcomes) or (ours and (new_authority or not other_authority(outcome))):
            continue
        elif isinstance(outcome.__cause__, ssl.SSLError):
            yield f"{why}: it and the {unknown(authority)}"
        else:
            yield f"{why}: start it, or name one that answers"


def unknown(authority: str) -> str:
    """What to do where an endpoint and the client's authority, a directory or a variable, do not know each other."""
    if "/" in authority:
        return f"authority in {authority} do not know each other; put its ca.crt and ca.key there"
    return (
        f"files of {authority} do not know each other; set ca to its authority, and certificate to one that it trusts"
    )


def ask(params: Mapping[str, Any], directory: str) -> dict[str, bool | etcd.EtcdError]:
    """What each endpoint answers. Raises EtcdError where the certificates cannot be used."""
    paths = {name: os.path.join(directory, name) for name in params["secrets"]}
    for name, path in paths.items():
        with open(path, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            stream.write(params["secrets"][name])
    client = etcd.Client(
        params["endpoints"], paths.get("ca.crt"), paths.get("client.crt"), paths.get("client.key"), params["timeout"]
    )
    return client.each(lambda endpoint: client.grants(endpoint, params["prefix"]))


def main() -> None:
    strings = {"type": "list", "elements": "str"}
    required = {"type": "str", "required": True}
    module = HostModule(
        argument_spec={
            "endpoints": {**strings, "required": True},
            "prefix": required,
            "authority": {"type": "path", "required": True},
            "client": required,
            "files": {"type": "dict", "default": {}},
            "members": {**strings, "default": []},
            "new_authority": {"type": "bool", "default": False},
            "passphrase": {"type": "str", "default": "", "no_log": True},
            "variable": {"type": "str", "default": "endpoints"},
            "timeout": {"type": "int", "default": 5},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    with module.reporting():
        outcomes = ask(params, module.tmpdir)
    asked = (params[name] for name in ("client", "prefix", "authority", "members", "new_authority"))
    told = list(faults(outcomes, *asked))
    if told:
        module.fail_json(msg="\n".join(f"{params['variable']}: {one}" for one in told))
    module.exit_json(changed=False, granted=[endpoint for endpoint, outcome in outcomes.items() if outcome is True])


if __name__ == "__main__":
    main()
