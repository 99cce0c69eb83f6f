"""A run of Ansible in a copy of a process that has imported it is as one that was started by itself."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

# It says what a program inherits, and its exit status is that of a play that failed.
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.command: [sh, -c, 'echo $WORD; umask; pwd; ps -o ni= $$']
      register: told
      changed_when: "{{ told.stdout_lines | length == 0 }}"
    - ansible.builtin.debug:
        msg: "{{ told.stdout_lines }} {{ lookup('ansible.builtin.pipe', 'cat') }} {{ lookup('env', 'WORD') }}"
    - ansible.builtin.fail:
"""
REAL = Path(sys.executable).parent
PREPARED = [sys.executable, str(Path(__file__).parents[1] / "prepared.py")]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A shell that runs what it is told, in an environment where Ansible's programs are prepared."""
    with subprocess.Popen([*PREPARED, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def prepared(shell: subprocess.Popen[str]) -> Path:
    """The directory of the prepared programs."""
    assert shell.stdin and shell.stdout
    print('echo "${PATH%%:*}"', file=shell.stdin, flush=True)
    return Path(shell.stdout.readline().strip())


def run(
    programs: Path, words: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """A run of a program of a directory: its exit status, output and errors."""
    program, *arguments = words
    done = subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "sh", programs / program, *arguments],
        cwd=directory,
        env={**os.environ, "NO_COLOR": "1", **(environment or {})},
        input="said at its input",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (["ansible-playbook", "play.yml"], {"WORD": "a word"}),
        # It is read while Ansible is imported.
        (["ansible-playbook", "play.yml"], {"ANSIBLE_DISPLAY_OK_HOSTS": "0", "ANSIBLE_FORCE_COLOR": "1"}),
        (["ansible-playbook", "--no-such-option"], {}),
        (["ansible-inventory", "--inventory", "one,", "--list"], {}),
    ],
    ids=["fails", "configured", "refused", "inventory"],
)
def test_a_prepared_run_says_and_ends_as_a_run_by_itself(
    prepared: Path, tmp_path: Path, words: list[str], environment: dict[str, str]
) -> None:
    (tmp_path / "play.yml").write_text(PLAY)
    assert run(prepared, words, tmp_path, environment) == run(REAL, words, tmp_path, environment)


def test_a_run_starts_by_itself_where_what_was_prepared_is_gone(tmp_path: Path) -> None:
    words = ["localhost", "-m", "ansible.builtin.debug", "-a", "msg={{ lookup('file', '/proc/self/cmdline') }}"]
    asked = f"ansible {shlex.join(words)} </dev/null"
    # The processes that are prepared, beside the shell itself.
    killed = "kill -KILL $(ps -o pid= --ppid $PPID | grep -vw $$)"
    seen = f"{asked} >first; {killed}; {asked} >second; {asked} >third; cp $(command -v ansible) .; exit 7"
    ended = subprocess.run([*PREPARED, "sh", "-c", seen], cwd=tmp_path, timeout=60, check=False)
    assert ended.returncode == 7
    status, last, _errors = run(tmp_path, ["ansible", *words], tmp_path)
    assert status == 0
    said = [*((tmp_path / name).read_text() for name in ("first", "second", "third")), last]
    assert ["prepared.py" in one for one in said] == [True, False, True, False]
    assert all("SUCCESS" in one for one in said)


def test_a_module_is_put_together_once_and_removed_with_the_command(tmp_path: Path) -> None:
    environment = {**os.environ, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temporary")}
    ping = "ansible localhost -m ansible.builtin.ping </dev/null >/dev/null && ls -i temporary/*/ansiballz_cache"
    done = subprocess.run(
        [*PREPARED, "sh", "-c", f"{ping} >first && {ping} >second"],
        cwd=tmp_path,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "ansible.modules.ping" in (tmp_path / "first").read_text()
    assert (tmp_path / "first").read_text() == (tmp_path / "second").read_text()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def waiting(prepared: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A client whose run waits, and that run's process."""
    told = "ps -o ppid= $PPID >part; mv part run; sleep 30"
    words = [
        str(prepared / "ansible"),
        "localhost",
        "-m",
        "ansible.builtin.debug",
        "-a",
        f"msg={{{{ lookup('pipe', '{told}') }}}}",
    ]
    with subprocess.Popen(words, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as client:
        while not (tmp_path / "run").exists():
            assert client.poll() is None
            time.sleep(0.05)
        yield client, int((tmp_path / "run").read_text())
        client.kill()


def has_ended(process: int) -> bool:
    """Whether a process ends within some seconds."""
    for _try in range(100):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_run_ends_as_its_client_is_ended(
    waiting: tuple[subprocess.Popen[bytes], int], number: signal.Signals
) -> None:
    client, process = waiting
    client.send_signal(number)
    # Ansible says itself that it was interrupted.
    assert client.wait(20) == (99 if number == signal.SIGINT else -number)
    assert has_ended(process)


def test_nothing_is_left_when_the_command_has_ended(tmp_path: Path) -> None:
    command = 'ansible localhost -m ansible.builtin.ping </dev/null >/dev/null; echo "${PATH%%:*}"; kill -TERM $$'
    done = subprocess.run(
        [*PREPARED, "sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert not Path(done.stdout.strip()).exists()


def test_an_end_that_is_asked_for_reaches_the_command(tmp_path: Path) -> None:
    command = [*PREPARED, "sh", "-c", "trap 'exit 5' TERM; touch ready; while :; do sleep 0.1; done"]
    with subprocess.Popen(command, cwd=tmp_path) as process:
        while not (tmp_path / "ready").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        assert process.wait(20) == 5
