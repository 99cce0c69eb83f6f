#!/usr/bin/python

# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: binaries
short_description: Verified binaries in versioned directories, with links to the current version
version_added: 0.1.0
author: The binary_cluster.networking maintainers (@binary-cluster)
description:
  - Puts each artifact into C(<directory>/<version>/) and points a link in O(artifacts[].links) at every
    file of it. A link is replaced atomically.
  - Only files whose sha256 differs are sent, all in one transfer. Each is verified on the host before
    it gets its name. A host that has all is only looked at.
  - The version before the current one stays for going back; older ones go.
extends_documentation_fragment:
  - binary_cluster.networking._attributes
attributes:
  action:
    description: Has an action plugin of the same name, which sends the files from the controller's cache.
    support: full
options:
  names:
    description: Names of the artifacts to take away, for O(state=absent).
    type: list
    elements: str
    default: []
  artifacts:
    description: The artifacts, as M(binary_cluster.networking.binary_cache) returned them, for O(state=present).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the artifact.
        type: str
        required: true
      version:
        description: Version of the artifact.
        type: str
        required: true
      directory:
        description: Directory that holds the versions.
        type: path
        required: true
      links:
        description: Directory in which the current version's files are linked.
        type: path
        required: true
      sha256:
        description: sha256 by file name.
        type: dict
        required: true
      source:
        description: Where the controller had it from; for the reader.
        type: str
      cached:
        description: Directory of the files on the controller.
        type: path
  archive:
    description: Tar file on the host with the files that differ. The action plugin sets it.
    type: path
  state:
    description: Whether the artifacts are there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
---
- name: Remove etcd binaries
  binary_cluster.networking.binaries:
    names: [etcd]
    state: absent
"""

RETURN = r"""
installed:
  description: Names of the artifacts that are on the host.
  returned: O(state=present)
  type: list
  elements: str
missing:
  description: Files that differ, or differed, from the wanted ones.
  returned: O(state=present)
  type: list
  elements: str
  sample: [/opt/etcd/3.6.14/etcd]
"""

import hashlib
import os
import tarfile
from collections.abc import Mapping
from typing import IO, Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._host import (
    file_entry,
    file_plan,
    file_writing,
    files,
    install_record,
)
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.module import HostModule

# Kind of the ledger's entries: path of a binary -> its sha256, size and time of change.
KIND = "binaries"


def fingerprint(path: str) -> list[int]:
    """Size and times of a file: while they stay, so does its content."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def sha256_of(path: str) -> str:
    """sha256 of a file, in hexadecimal."""
    whole = hashlib.sha256()
    with open(path, "rb") as stream:
        for chunk in iter(lambda: stream.read(1 << 20), b""):
            whole.update(chunk)
    return whole.hexdigest()


def differs(path: str, sha256: str, ledger: Ledger) -> bool:
    """Whether a file is not the wanted one. Hashed only if it was touched since it was noted.

    In check mode an artifact may not have been fetched, and its sha256 is empty: then the noted one is taken.
    """
    try:
        sha256 = sha256 or next(iter(ledger.before(KIND, path) or [""]))
        if ledger.before(KIND, path) == [sha256, *fingerprint(path)]:
            return False
        return sha256_of(path) != sha256
    except (FileNotFoundError, NotADirectoryError):
        return True


def wanted_links(artifact: dict[str, Any]) -> list[file_entry.Entry]:
    """The links from the common directory to this version's files."""
    version = f"{artifact['directory']}/{artifact['version']}"
    return [file_entry.link(f"{artifact['links']}/{file}", f"{version}/{file}") for file in artifact["sha256"]]


def outdated(artifact: dict[str, Any], ledger: Ledger) -> list[str]:
    """Binaries of versions older than the one before the current."""
    current = f"{artifact['directory']}/{artifact['version']}"
    others = [path for path in ledger.names(KIND) if os.path.dirname(path) != current]
    previous = os.path.dirname(others[-1]) if others else ""
    return [path for path in others if os.path.dirname(path) != previous]


def place(member: IO[bytes], path: str, sha256: str, ledger: Ledger) -> None:
    """Write one binary under a temporary name, verify it, and give it its name."""
    file_writing.make_parents(path, ledger)
    # Before it is there: what is cut short is known to uninstall.
    ledger.record(KIND, path, [])
    whole = hashlib.sha256()
    try:
        with file_writing.beside(path) as partial:
            with open(partial, "wb") as stream:
                for chunk in iter(lambda: member.read(1 << 20), b""):
                    whole.update(chunk)
                    stream.write(chunk)
            if whole.hexdigest() != sha256:
                raise install_record.FileError(f"{path}: sha256 {whole.hexdigest()} arrived, not {sha256}")
            os.chmod(partial, 0o755)
            os.replace(partial, path)
    except OSError as error:
        raise install_record.FileError(f"{path}: {error.strerror}") from error


def unpack(archive: str, missing: Mapping[str, tuple[str, Ledger]]) -> None:
    """Put the files that are missing into place, each of a sha256 and noted in a record."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = f"/{member.name}"
            content = tar.extractfile(member)
            if path in missing and content is not None:
                place(content, path, *missing[path])


def record(ledger: Ledger, held: Mapping[str, str]) -> None:
    """Note files by path with the sha256 that they have, so that they are not read again while nobody touches them."""
    stamps = {path: [sha256, *fingerprint(path)] for path, sha256 in held.items()}
    new = {path: stamp for path, stamp in stamps.items() if ledger.before(KIND, path) != stamp}
    # They come last, as the newest.
    ledger.forget(KIND, *new)
    ledger.record_all(KIND, new)


def install(module: HostModule) -> dict[str, Any]:
    """Bring the artifacts to the host; without the archive only say what is missing."""
    artifacts = module.params["artifacts"]
    ledgers = {artifact["name"]: install_record.Ledger(f"binary-{artifact['name']}") for artifact in artifacts}
    wanted = {
        f"{artifact['directory']}/{artifact['version']}/{file}": (sha256, ledgers[artifact["name"]])
        for artifact in artifacts
        for file, sha256 in artifact["sha256"].items()
    }
    missing = [path for path, (sha256, ledger) in wanted.items() if differs(path, sha256, ledger)]
    changes = {}
    stale: dict[str, list[str]] = {}
    for artifact in artifacts:
        ledger, links = ledgers[artifact["name"]], wanted_links(artifact)
        changes[artifact["name"]] = file_plan.plan(links, file_plan.observe(links, ledger), ledger)
        stale[artifact["name"]] = outdated(artifact, ledger)
    changed = bool(missing or any(changes.values()) or any(stale.values()))
    result = {
        "changed": changed,
        "missing": missing,
        "diff": [
            {"before_header": path, "after_header": path, "before": "", "after": f"sha256 {digest}\n"}
            for path, digest in ((path, wanted[path][0] or "unknown") for path in missing)
        ]
        + [change.diff() for name in changes for change in changes[name]],
    }
    if module.check_mode or (missing and not module.params["archive"]):
        return result
    if missing:
        unpack(module.params["archive"], {path: wanted[path] for path in missing})
    for ledger in ledgers.values():
        record(ledger, {path: sha256 for path, (sha256, own) in wanted.items() if own is ledger})
    for name, ledger in ledgers.items():
        files.apply(changes[name], ledger, module.run_command)
        for failure in files.take_away(stale[name], ledger, KIND):
            module.warn(failure)
    return result


def uninstall(module: HostModule) -> dict[str, Any]:
    """Take the artifacts away; foreign files that were replaced by links come back."""
    diff = []
    failures: list[str] = []
    for name in module.params["names"]:
        try:
            ledger = Ledger(f"binary-{name}")
            seen, paths = file_plan.observe([], ledger), ledger.names(KIND)
            changes = file_plan.plan([], seen, ledger, uninstall=True)
            for reason in file_plan.left([], seen, ledger, uninstall=True):
                module.warn(reason)
        except install_record.FileError as error:
            failures.append(str(error))
            continue
        diff += [change.diff() for change in changes]
        diff += [{"before_header": path, "after_header": path, "before": "present\n", "after": ""} for path in paths]
        if not module.check_mode:
            failures += [*files.withdraw(changes, ledger), *files.take_away(paths, ledger, KIND)]
    if failures:
        raise install_record.FileError("; ".join(failures))
    return {"changed": bool(diff), "diff": diff}


def main() -> None:
    module = HostModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "default": []},
            "artifacts": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "version": {"type": "str", "required": True},
                    "directory": {"type": "path", "required": True},
                    "links": {"type": "path", "required": True},
                    "sha256": {"type": "dict", "required": True},
                    "source": {"type": "str"},
                    "cached": {"type": "path"},
                },
            },
            "archive": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with module.reporting("binaries"):
        result = install(module) if module.params["state"] == "present" else uninstall(module)
    module.exit_json(installed=[artifact["name"] for artifact in module.params["artifacts"]], **result)


if __name__ == "__main__":
    main()
