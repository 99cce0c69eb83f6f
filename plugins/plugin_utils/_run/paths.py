# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.


"""Paths of the controller, as the user who called the playbook means them."""

from __future__ import annotations

import os
from pathlib import Path


def called_from(path: str) -> Path:
    """A path that, where it is relative, begins where the playbook was called."""
    return _working_directory() / Path(path).expanduser()


def _working_directory() -> Path:
    """The working directory, with the symlinks by which the shell came there.

    PWD has these (POSIX, pwd -L). Whoever calls a program in another directory without a shell leaves PWD as it was,
    so it counts only where it names the working directory.
    """
    told = Path(os.environ.get("PWD", ""))
    try:
        return told if told.is_absolute() and told.samefile(".") else Path.cwd()
    except OSError:
        return Path.cwd()


def shown(path: Path) -> Path:
    """A path as it is shown: from where the playbook was called, where it lies below."""
    here = called_from(".")
    return path.relative_to(here) if path.is_relative_to(here) else path
