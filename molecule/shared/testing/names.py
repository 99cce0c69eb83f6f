"""Asking a DNS server from a host of the lab, or from a pod on it."""

from __future__ import annotations

import inspect
import json
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.module_utils._dns import messages as dns_messages

from testing import lab

SERVER = "10.0.0.2"
PROGRAM = """
import sys
found = {{}}
for name, kind in {questions!r}:
    try:
        told = ask({server!r}, 53, name, kind, timeout={timeout})
        found[name + " " + kind] = [told.rcode, *told.values]
    except OSError as error:
        found[name + " " + kind] = ["no answer"]
import json
print(json.dumps(found))
"""


def answers(
    host: str, *questions: str, server: str = SERVER, namespace: str = "", timeout: float = 2
) -> dict[str, list[str]]:
    """What the server says, by question such as ``www.example.org A``: the response code, then the sorted values."""
    asked = [tuple(question.split()) for question in questions]
    program = inspect.getsource(dns_messages) + PROGRAM.format(questions=asked, server=server, timeout=timeout)
    prefix = f"ip netns exec {namespace} " if namespace else ""
    said = lab.inside(host, f"{prefix}python3 -", program)
    found: dict[str, Any] = json.loads(said)
    return {question: [told[0], *sorted(told[1:])] for question, told in found.items()}
