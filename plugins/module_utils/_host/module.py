# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection.

"""A module that works alike on every host, whatever environment it is started in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.binary_cluster.networking.plugins.module_utils._task.errors import TaskError

# Where the system's tools are. A user's PATH, and sudo's secure_path, may lack sbin.
TOOLS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# The ways to proxies, for programs such as calicoctl: what they ask is in the cluster.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
# What others may read, they can: sudo may set another one, and files with a secret have a mode of their own.
UMASK = 0o022


class HostModule(AnsibleModule):
    """A module with the umask, the PATH and the proxies that the collection counts on.

    ``proxies`` leaves those of the environment as they are, for what fetches from elsewhere.
    """

    def __init__(self, proxies: bool = False, **options: Any) -> None:
        prepare(proxies)
        super().__init__(**options)

    @contextlib.contextmanager
    def reporting(self, of: str = "", *further: type[Exception]) -> Iterator[dict[str, Any]]:
        """End the module with the message of an error that the block raises: its user reads no traceback.

        ``of`` is what the block is about, and stands before the message. ``further`` are errors of Python's own that
        say here what is wrong with a value that the user gave. What the block puts into the result that it gets is
        told beside the message.
        """
        told: dict[str, Any] = {}
        known: tuple[type[Exception], ...] = (TaskError, OSError, *further)
        try:
            yield told
        except known as error:
            self.fail_json(msg=f"{of}: {error}" if of else str(error), **told)


def prepare(proxies: bool) -> None:
    """Bring the environment of this process to what modules and the programs they call count on."""
    os.umask(UMASK)
    given = [one for one in os.environ.get("PATH", "").split(os.pathsep) if one]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*given, *TOOLS]))
    for name in () if proxies else PROXIES:
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
