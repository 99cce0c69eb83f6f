# Copyright (c) The binary_cluster.networking maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection.

"""What the collection says on a terminal, next to the callback that prints the run.

Other callbacks than Ansible's default have a form of their own, such as one JSON document, that a further line would
spoil. They get a message in the result of the task and print it if and how they like.
"""

from __future__ import annotations

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


def progress(line: str) -> None:
    """Print what a task is doing, where no form is spoilt by it: standard output may be a document."""
    if is_default():
        display.display(line, stderr=_result_format() != "json")


def _result_format() -> str:
    callback = callback_loader.get(DEFAULT)
    callback.set_options()
    return str(callback.get_option("result_format"))
