"""Progress of what fills the cache of binaries, as it is read on a terminal and elsewhere: real runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.server
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
NAMES = ("quick", "slow")
# Seconds until the server sends a file. Progress is shown each second on a terminal, and after five elsewhere.
TAKES = {"quick": 1.2, "slow": 3.4}
CONTROL = re.compile(r"\x1b\[(\d*)([AJ])")


def archive(name: str) -> bytes:
    """A release with a program."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(name)
        tar.addfile(member, io.BytesIO(name.encode()))
    return out.getvalue()


ARCHIVES = {name: archive(name) for name in NAMES}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the releases after a while."""

    def do_GET(self) -> None:
        name = self.path.strip("/").partition(".")[0]
        time.sleep(TAKES[name])
        self.send_response(200)
        self.send_header("Content-Length", str(len(ARCHIVES[name])))
        self.end_headers()
        self.wfile.write(ARCHIVES[name])

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Path]:
    """A directory with a play that fetches the releases."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    manifest = {
        name: {
            "version": "1.0",
            "architectures": ["amd64"],
            "files": [name],
            "directory": f"/opt/{name}",
            "links": [],
            "release": {
                "url": f"http://127.0.0.1:{server.server_address[1]}/{name}.tgz",
                "sha256": {"1.0": {"amd64": hashlib.sha256(ARCHIVES[name]).hexdigest()}},
            },
        }
        for name in NAMES
    }
    task = {
        "binary_cluster.networking.binary_cache": {
            "names": list(NAMES),
            "architectures": ["amd64"],
            "manifest": manifest,
            "source": "release",
            "go_modules": str(tmp_path),
            "cache": str(tmp_path / "cache"),
        }
    }
    hosts = [{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(hosts))
    (tmp_path / "ansible.cfg").touch()
    try:
        yield tmp_path
    finally:
        server.shutdown()
        server.server_close()


def run(directory: Path, terminal: bool, **environment: str) -> str:
    """All that a run writes on its standard output, be it a terminal of 80 columns or not; it must succeed."""
    master, end = pty.openpty() if terminal else os.pipe()
    if terminal:
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", "play.yml", "-i", "localhost,"],
        cwd=directory,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_CONFIG": str(directory / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".ansible" / "collections"),
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_STDOUT_CALLBACK": "default",
            "TERM": "xterm",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=end,
        stderr=subprocess.DEVNULL,
    )
    os.close(end)
    said = b""
    # The terminal's last reader is told so by an error.
    with contextlib.suppress(OSError):
        while part := os.read(master, 65536):
            said += part
    os.close(master)
    assert process.wait() == 0, said
    return said.decode().replace("\r\n", "\n")


def screen(said: str) -> list[str]:
    """The lines that are left on a terminal."""
    lines = [""]
    for part in re.split(r"(\x1b\[\d*[AJ]|\n)", said):
        control = CONTROL.fullmatch(part)
        if control and control[2] == "A":
            # From the line that is empty yet.
            lines = [*lines[: -int(control[1]) - 1], ""]
        elif part == "\n":
            lines.append("")
        elif not control:
            lines[-1] += part
    return [line for line in lines if line.startswith("binaries: ")]


def progress(said: str) -> list[str]:
    """All that was ever written about the binaries."""
    return [line for line in CONTROL.sub("", said).splitlines() if line.startswith("binaries: ")]


DONE = ["binaries: quick 1.0 amd64: release, done (1 of 2)", "binaries: slow 1.0 amd64: release, done (2 of 2)"]


def test_a_terminal_has_a_line_for_each_component_that_is_written_again_in_place(play: Path) -> None:
    said = run(play, terminal=True, ANSIBLE_LOG_PATH=str(play / "log"))
    assert screen(said) == DONE
    states = [line for line in progress(said) if line not in DONE]
    assert all(re.fullmatch(r"binaries: (quick|slow) 1\.0 amd64: [a-z]+ \d+ s", line) for line in states)
    # It is written each second, of which a slow machine may miss some.
    assert len({line for line in states if "slow" in line}) >= 2
    assert "\x1b" not in (play / "log").read_text()


def test_what_is_no_terminal_has_progress_rarely_and_without_control_characters(play: Path) -> None:
    said = run(play, terminal=False)
    assert "\x1b" not in said
    states = [line for line in progress(said) if line not in DONE]
    assert len(states) <= 1 and set(DONE) <= set(progress(said))


@pytest.mark.parametrize("terminal", [{"TERM": "dumb"}, {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}])
def test_a_terminal_that_cannot_be_written_over_and_a_document_on_one_are_not(
    play: Path, terminal: dict[str, str]
) -> None:
    assert "\x1b" not in run(play, terminal=True, **terminal)


def test_a_callback_with_a_form_of_its_own_is_all_there_is_on_a_terminal_too(play: Path) -> None:
    pytest.importorskip("ansible_collections.ansible.posix")
    said = run(play, terminal=True, ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    assert json.loads(said)["plays"] and progress(said) == []
