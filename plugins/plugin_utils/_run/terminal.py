# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What the collection says on a terminal, next to the callback that prints the run.

Other callbacks than Ansible's default have a form of their own, such as one JSON document, that a further line would
spoil. They get a message in the result of the task and print it if and how they like.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ansible import constants
from ansible.plugins.loader import callback_loader
from ansible.utils.display import Display

DEFAULT = "ansible.builtin.default"
display = Display()


def is_default() -> bool:
    """Whether the run is printed by Ansible's default callback."""
    return constants.DEFAULT_STDOUT_CALLBACK in ("default", "ansible.legacy.default", DEFAULT)


def show(result: dict[str, Any], text: str) -> None:
    """Print a text of several lines, or put it into the result of the task, as ``text``, for the callback to print.

    The default callback prints lines of a result as lines only where it prints results as YAML.
    """
    if is_default() and _result_format() == "json":
        display.display(text)
        return
    result["text"] = text.strip("\n")
    # As for the module debug: the result is what the task is for, whatever the verbosity.
    result["_ansible_verbose_always"] = True


class Progress:
    """What a task is doing, where no form is spoilt by it: standard output may be a document.

    On a terminal, the last lines are what is done at a time, and are written again in place.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.form = _result_format() if is_default() else ""
        size = _terminal() if self.form == "json" else None
        self.live = self._show if size else None
        self.columns, self.rows = size or (0, 0)
        self.shown = 0

    def announce(self, line: str) -> None:
        """Print a line that stays."""
        if self.form:
            self._erase()
            display.display(f"{self.prefix}: {line}", stderr=self.form != "json")

    def _show(self, lines: Sequence[str]) -> None:
        """Write what is done now over what was done before; a line that is too long would become two."""
        self._erase()
        fitting = [f"{self.prefix}: {line}"[: self.columns - 1] for line in lines[: self.rows - 1]]
        if fitting:
            display.display("\n".join(fitting), screen_only=True)
        self.shown = len(fitting)

    def _erase(self) -> None:
        if self.shown:
            # Up as many lines, and all from there on cleared (ECMA-48: CUU, ED).
            display.display(f"\x1b[{self.shown}A\x1b[J", screen_only=True, newline=False)
        self.shown = 0


def _terminal() -> os.terminal_size | None:
    """Size of the terminal that the run is printed on; None where it is none, or none that can be written over.

    A worker of Ansible has no standard output of its own, so that of the process which prints is asked.
    """
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    try:
        descriptor = os.open(f"/proc/{os.getppid()}/fd/1", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return size if size.columns > 1 and size.lines > 1 else None


def _result_format() -> str:
    callback = callback_loader.get(DEFAULT)
    callback.set_options()
    return str(callback.get_option("result_format"))
