"""A network backend is named in its four places, and in the few others that are listed here with the reason."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract

CHECKOUT = Path(__file__).resolve().parents[2]
BACKENDS = contract.declared()
# Of a plugin, what is documentation; of every file, what is a comment or the docstring of a module.
TEXT = re.compile(r'^(?:DOCUMENTATION|EXAMPLES|RETURN) = r?""".*?"""|^""".*?"""|^\s*#[^\n]*', re.MULTILINE | re.DOTALL)
# Written by `make docs` or by Go, or what people read.
GENERATED = ("README.md", "argument_specs.yml", "go.mod", "go.sum")
# Files that name a backend, by what they need it for. A new backend needs no line in any.
ELSEWHERE = {
    # Binaries and packages, each under the name of the program.
    "roles/binaries/vars/main.yml": "manifest of the binaries",
    # The users of etcd and what each may write, which has to be one list.
    "roles/etcd/templates/users.yml.j2": "rights in etcd",
    "plugins/modules/dns_record.py": "prefixes that records must stay out of",
    # What these daemons keep, whichever backend is in use now.
    "plugins/module_utils/_cni/remains.py": "files of a CNI plugin",
    "plugins/module_utils/_host/links.py": "names in install records that were written before links were recorded",
    "roles/node/defaults/main.yml": "links that network managers leave alone, of all backends",
    "plugins/plugin_utils/_preflight/records.py": "names in install records that are not those of roles",
    # Evidence and causes of what only this daemon does.
    "plugins/module_utils/_probe/evidence.py": "evidence of Calico and leases of flannel",
    "plugins/plugin_utils/_diagnosis/filters.py": "policies of Calico",
    "plugins/plugin_utils/_diagnosis/packets.py": "the MTU that flanneld was given",
    "plugins/plugin_utils/_diagnosis/pods.py": "addresses that Calico has none left of",
    "plugins/plugin_utils/_diagnosis/routes.py": "routes of Calico",
    # Variables of one backend that a check of all of them has to read.
    "plugins/plugin_utils/_inventory/networks.py": "flannel's own pod network",
    "plugins/plugin_utils/_inventory/model.py": "default for tests",
    "plugins/plugin_utils/_preflight/ipv6.py": "the backend that gives pods IPv6",
    "plugins/plugin_utils/_preflight/links.py": "links of backends that others may have made",
    "plugins/plugin_utils/_preflight/networks.py": "flannel's own pod network",
    "plugins/plugin_utils/_preflight/values.py": "forms of values that argument_specs cannot say",
    "roles/coredns/vars/main.yml": "pod networks whose reverse zones are served",
    "roles/preflight/tasks/main.yml": "addresses that calico_address asks the kernel for",
    "roles/verify/vars/main.yml": "routers that lead to other nodes' pods",
    "plugins/plugin_utils/_backends/host_routes.py": "what its message advises instead",
    # The module host_routes, which sets up any routes, has the name of the backend.
    "plugins/module_utils/_backends/static_network.py": "module host_routes",
    "plugins/module_utils/_backends/static_node.py": "module host_routes",
    "plugins/modules/routed_node.py": "backends without a daemon",
}


def own(path: str, name: str) -> bool:
    """Whether a file is one of a backend's: its places, and the modules, filters and packages that bear its name."""
    folder = path.split("/")
    return name in folder[:3] or re.match(rf"_?{name}(?![a-z])", folder[-1]) is not None or f"_{name}" in folder


@cache
def named() -> dict[str, set[str]]:
    """Backends that files name which are not theirs."""
    found: dict[str, set[str]] = {}
    for top in ("plugins", "roles", "playbooks"):
        for file in sorted((CHECKOUT / top).rglob("*")):
            if not file.is_file() or file.name in GENERATED or file.suffix == ".pyc":
                continue
            path, words = str(file.relative_to(CHECKOUT)), TEXT.sub("", file.read_text())
            names = {name for name in BACKENDS if re.search(rf"(?<![a-z]){name}(?![a-z])", words)}
            if others := {name for name in names if not own(path, name)}:
                found[path] = others
    return found


def test_no_file_names_a_backend_but_its_own_and_those_listed() -> None:
    assert {path: names for path, names in named().items() if path not in ELSEWHERE} == {}


@pytest.mark.parametrize("path", ELSEWHERE)
def test_what_is_listed_names_a_backend(path: str) -> None:
    assert path in named()
