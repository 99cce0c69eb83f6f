"""The daemons themselves read what roles write: a hostile value of an option is refused, or means itself to them."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._artifacts import go_build
from images import CHECKOUT, on_top_of_the_lab

from tests.readers.values import HOSTILE
from tests.unit.rendered_options import FILES, Rendered, replaced

HERE = Path(__file__).resolve().parent
# The shell judges its script in the unit tests, and YAML is read by Ansible itself.
READ = [file for file in FILES if file.form not in ("shell", "yaml")]
# As in playbooks/lab_up.yml: what systemd needs in a container, and not more; and nobody to speak to.
OPTIONS = (
    "--rm", "--network=none", "--cap-add=NET_ADMIN", "--cap-add=NET_RAW", "--cap-add=SYS_ADMIN", "--cap-add=SYS_PTRACE",
    "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined", "--cgroupns=host", "--tmpfs=/run",
    "--tmpfs=/run/lock", "--tmpfs=/tmp", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--stop-signal=SIGRTMIN+3",
    "--memory=2g", "--pids-limit=2000",
)  # fmt: skip
SECONDS = 120
Verdicts = dict[tuple[Rendered, str], dict[str, Any]]


def docker(*words: str, data: bytes | None = None) -> bytes:
    """What docker says."""
    done = subprocess.run(["docker", *words], input=data, capture_output=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="session")
def container() -> Iterator[str]:
    """A server with systemd and all daemons. It boots while the files are rendered."""
    name = f"readers-{uuid.uuid4().hex[:8]}"
    docker("run", "--detach", "--name", name, *OPTIONS, on_top_of_the_lab(HERE))
    yield name
    docker("rm", "--force", name)


@pytest.fixture(scope="session")
def corefile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program around the parser in the sources that CoreDNS is built of."""
    roles = CHECKOUT / "roles" / "binaries" / "files" / "go"
    directory = tmp_path_factory.mktemp("corefile")
    for name in ("go.mod", "go.sum"):
        (directory / name).write_bytes((roles / "coredns" / name).read_bytes())
    (directory / "corefile.go").write_bytes((HERE / "corefile.go").read_bytes())
    go = go_build.Go(str(roles), Path("~/.cache/binary_cluster").expanduser())
    subprocess.run(
        [go._toolchain(directory, print), "build", "-o", "corefile", "corefile.go"],
        cwd=directory,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -trimpath", "GOTOOLCHAIN": "local"},
        check=True,
    )
    return directory / "corefile"


def texts(file: Rendered) -> list[str]:
    """What a file's option is set to: what the daemon takes, and that with more; where it takes any text, others."""
    return [file.valid, *(file.valid + text if file.closed else text for text in HOSTILE if len(text) <= file.longest)]


@pytest.fixture(scope="session")
def verdicts(container: str, corefile: Path, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What the daemons read in each file that was not refused when it was written."""
    directory = tmp_path_factory.mktemp("files")
    rendered: dict[str, tuple[Rendered, str]] = {}
    for file in READ:
        for text in texts(file):
            try:
                written = file.render(text)
            except AnsibleError:
                continue
            name = f"{len(rendered):04}.{file.form}"
            rendered[name] = (file, text)
            (directory / name).write_bytes(written.encode())
    for path in (HERE / "judge.py", corefile):
        (directory / path.name).write_bytes(path.read_bytes())
        (directory / path.name).chmod(0o755)
    until = time.monotonic() + 60
    while subprocess.run(["docker", "exec", container, "systemctl", "is-active", "--quiet", "multi-user.target"],
                         check=False).returncode:  # fmt: skip
        assert time.monotonic() < until, "the container does not boot"
        time.sleep(0.2)
    # It ends even if nobody is left to end it.
    docker("exec", container, "systemd-run", "--quiet", f"--on-active={2 * SECONDS}", "systemctl", "poweroff")
    docker("cp", f"{directory}/.", f"{container}:/srv/files")
    said = docker("exec", container, "python3", "/srv/files/judge.py", "/srv/files")
    return {rendered[name]: verdict for name, verdict in json.loads(said).items()}


@pytest.mark.parametrize("file", READ, ids=lambda file: f"{file.role}/{file.template}")
def test_a_hostile_value_is_refused_or_means_itself_to_the_daemon(file: Rendered, verdicts: Verdicts) -> None:
    meant = verdicts[file, file.valid]
    assert "read" in meant, meant["refused"]
    assert meant != replaced(meant, file.valid, "other"), "the daemon does not read the option"
    wrong = {}
    for text in texts(file):
        verdict = verdicts.get((file, text))
        if verdict is None or (file.closed and "refused" in verdict):
            continue
        if verdict != replaced(meant, file.valid, text):
            wrong[text] = verdict
    assert wrong == {}
