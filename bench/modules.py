"""Time each module of the collection on a node, beside ansible.builtin.ping, and size what Ansible sends for it.

usage: modules.py [--turns 5] [--json FILE] [MODULE ...]

What is timed is what every task pays: Python starts, imports the module with what it needs, and refuses an argument
that no module has. In each turn the modules and ping follow one another, so that load from elsewhere meets all of
them. Prints a table, the slowest first: files, lines and bytes of the collection that are sent, milliseconds from the
start to the answer (the median of the turns), and these as a multiple of ping's; --json also writes the figures.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, module_loader
from ansible.template import Templar

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "molecule" / "shared"))

from testing.plain import Lab

COLLECTION = "binary_cluster.networking"
PING = "ansible.builtin.ping"
COLUMNS = ("files", "lines", "bytes", "ms", "of ping's")
# What Ansible adds to the arguments of every task.
INTERNAL: dict[str, object] = {
    "_ansible_version": "2.19",
    "_ansible_remote_tmp": "/tmp",
    "_ansible_tmpdir": None,
    "_ansible_no_log": False,
    "_ansible_verbosity": 0,
    "_ansible_check_mode": True,
    "_ansible_target_log_info": "bench",
    "_ansible_tracebacks_for": [],
}
# No module has it: each refuses it once it is imported, or the arguments that it lacks, and does nothing.
REFUSED = {"bench": "unknown"}
REFUSAL = re.compile(rb'"msg": "(?:Unsupported parameters|missing required arguments|[^"]+ are missing: )')
ARCHIVE = re.compile(rb"zip_data='([A-Za-z0-9+/=]+)'")


def sent(name: str) -> bytes:
    """What Ansible sends to a host and starts there for a task of this module."""
    found = module_loader.find_plugin_with_context(name, mod_type=".py")
    if not found.resolved:
        raise SystemExit(f"{name}: there is no such module")
    built = modify_module(
        module_name=found.resolved_fqcn,
        module_path=found.plugin_resolved_path,
        module_args={**INTERNAL, **REFUSED},
        templar=Templar(DataLoader()),
        task_vars={"ansible_python_interpreter": "/usr/bin/python3", "ansible_facts": {}},
    )
    return bytes(built.b_module_data)


def closure(program: bytes) -> dict[str, int]:
    """Files, lines and bytes of this collection among the sources that are sent, the rest being Ansible's."""
    archive = ARCHIVE.search(program)
    if not archive:
        raise SystemExit("what Ansible sends has another form: there is no zip_data in it")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(archive[1]))) as sources:
        own = [
            text
            for name in sources.namelist()
            if name.startswith("ansible_collections/") and (text := sources.read(name))
        ]
    return {"files": len(own), "lines": sum(text.count(b"\n") for text in own), "bytes": sum(map(len, own))}


def answer(container: str, name: str, program: bytes) -> float:
    """Milliseconds from the start of a module to its answer, which must be that it refuses its arguments."""
    command = ["docker", "exec", "--interactive", container, "/usr/bin/python3"]
    began = time.monotonic()
    done = subprocess.run(command, input=program, capture_output=True, check=False)
    took = time.monotonic() - began
    if not REFUSAL.search(done.stdout):
        raise SystemExit(f"{name} said: {(done.stdout + done.stderr).decode(errors='replace')[-2000:]}")
    return took * 1000


def measure(container: str, programs: dict[str, bytes], turns: int) -> dict[str, float]:
    """The median of the turns, by module. A turn before them is not counted: it reads what is on the disk."""
    took: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(turns + 1):
        for name, program in programs.items():
            milliseconds = answer(container, name, program)
            if turn:
                took[name].append(milliseconds)
    return {name: statistics.median(each) for name, each in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="all of the collection unless named")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    init_plugin_loader([str(CHECKOUT / ".ansible" / "collections")])
    # What acts on the controller is an action; its module has documentation and no code.
    modules = (CHECKOUT / "plugins" / "modules").glob("[a-z]*.py")
    every = sorted(path.stem for path in modules if "def main(" in path.read_text())
    programs = {name: sent(f"{COLLECTION}.{name}") for name in arguments.modules or every}
    with tempfile.TemporaryDirectory() as directory:
        lab = Lab(1, Path(directory))
        try:
            lab.run("lab_up")
            took = measure("bench-cp-1", {PING: sent(PING), **programs}, arguments.turns)
        finally:
            lab.run("lab_down")
    ping = took.pop(PING)
    figures = [
        {"module": name, **closure(programs[name]), "ms": round(took[name]), "of ping's": round(took[name] / ping, 2)}
        for name in sorted(took, key=lambda name: -took[name])
    ]
    width = max(map(len, programs))
    print(f"{'module':{width}}  " + "  ".join(f"{column:>9}" for column in COLUMNS))
    for one in figures:
        print(f"{one['module']:{width}}  " + "  ".join(f"{one[column]:>9}" for column in COLUMNS))
    print(f"ping: {ping:.0f} ms; median of the modules: {statistics.median(took.values()) / ping:.2f} of ping's")
    if arguments.json:
        arguments.json.write_text(json.dumps({"ping_ms": round(ping), "modules": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
