"""Run in the container: have the daemons themselves read all files, and print as JSON what each is to its daemon.

usage: judge.py DIRECTORY      (of files <number>.<form>)

Of each file that is {"read": ...}, in which nothing differs between two runs, or {"refused": what the daemon says}.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Verdicts = dict[str, dict[str, Any]]
UNITS = Path("/run/systemd/system")
OUT = Path("/run/out")
SECONDS = 60
# Programs that units begin: each says what it was given.
TELLTALE = """#!/bin/sh
printf '%s\\0' "$0" "$@"
printf '\\n'
"""
TOLD = ("/usr/local/bin/flanneld", "/usr/local/bin/coredns", "/usr/sbin/ip")
# Of a unit that is to be run: as root, without waiting for a word of it, and once.
RUN = """[Service]
User=
Group=
Type=oneshot
Restart=no
TimeoutStartSec=20
StandardOutput=append:{out}
"""
ENVIRONMENT = """[Service]
Type=oneshot
EnvironmentFile={path}
ExecStart=/usr/bin/env -0
StandardOutput=truncate:{out}
"""
# Properties of a unit that it has of its name, of the moment or of the processor.
OWN = re.compile(
    r"Id|Names|Following|.*Path(s)?Cached|FragmentPath|DropInPaths|InvocationID|.*Timestamp.*|.*USecMonotonic|.*NSec"
    r"|NextElapseUSec.*|Job|StateChange.*|ControlGroup|EffectiveCPUs|EffectiveMemoryNodes|Slice"
)

# Variables that differ with each process.
MOMENT = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")


def run(*command: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """A command's end, with what it said."""
    return subprocess.run(
        command, capture_output=True, text=True, errors="surrogateescape", timeout=seconds, check=False
    )


# --- systemd ---------------------------------------------------------------------------


def properties(name: str) -> dict[str, Any]:
    """What systemd has of a unit, which it loads for that, but for what is of the moment."""
    path = "/org/freedesktop/systemd1/unit/" + re.sub(r"[^A-Za-z0-9]", lambda one: f"_{ord(one[0]):02x}", name)
    # Of all interfaces that the object has.
    said = run("busctl", "--json=short", "call", "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties",
               "GetAll", "s", "")  # fmt: skip
    if said.returncode:
        raise RuntimeError(f"{name}: {said.stderr}")
    kept = {key: one["data"] for key, one in json.loads(said.stdout)["data"][0].items() if not OWN.fullmatch(key)}
    stem = name.partition(".")[0]
    named = json.loads(json.dumps(kept).replace(f"{stem}.", "case."))
    return {key: unordered(one) if isinstance(one, list) else one for key, one in named.items()}


def unordered(items: list[Any]) -> Any:
    """Names in no order, such as of the units that one waits for; commands have an order."""
    return dict.fromkeys(items) if all(isinstance(one, str) for one in items) else items


def complaints() -> dict[str, list[str]]:
    """What systemd did not understand in units, by their paths."""
    run("journalctl", "--sync")
    found: dict[str, list[str]] = {}
    for line in run("journalctl", "--output=json", "--all", "_PID=1").stdout.splitlines():
        entry = json.loads(line)
        if "CONFIG_FILE" in entry:
            found.setdefault(entry["CONFIG_FILE"], []).append(str(entry["MESSAGE"]))
    return found


def failed(names: Sequence[str]) -> set[str]:
    """Those of the units that were started in vain."""
    said = run("systemctl", "show", "--property=Id,Result", *names).stdout if names else ""
    told = [dict(line.split("=", 1) for line in block.splitlines()) for block in said.strip().split("\n\n") if block]
    return {one["Id"] for one in told if one["Result"] != "success"}


def timers(found: dict[str, Any]) -> dict[str, Any]:
    """Without when a timer runs next."""
    if "TimersCalendar" in found:
        found["TimersCalendar"] = [one[:2] for one in found["TimersCalendar"]]
    return found


def units(files: Sequence[Path]) -> Verdicts:
    """What systemd has of units after it loaded them; of commands what a program is given that is run by them."""
    for program in TOLD:
        Path(program).unlink(missing_ok=True)
        Path(program).write_text(TELLTALE)
        Path(program).chmod(0o755)
    Path("/etc/coredns").mkdir(exist_ok=True)
    names: dict[str, str] = {}
    ran = []
    for path in files:
        text = path.read_text(errors="surrogateescape")
        kind = "timer" if "[Timer]" in text else "service"
        name = names[path.name] = f"case{path.stem}.{kind}"
        (UNITS / name).write_bytes(path.read_bytes())
        if re.search(r"^ExecStart=/usr/local/bin/(flanneld|coredns)", text, re.MULTILINE):
            ran.append(name)
            override = UNITS / f"{name}.d"
            override.mkdir()
            (override / "run.conf").write_text(RUN.format(out=OUT / name))
    run("systemctl", "daemon-reload")
    read = {file: timers(properties(name)) for file, name in names.items()}
    wrong = complaints()
    found: Verdicts = {}
    for file, name in names.items():
        said = wrong.get(str(UNITS / name))
        found[file] = {"refused": "\n".join(said)} if said else {"read": read[file]}
    run("systemctl", "start", *ran)
    bad = failed(ran)
    for file, name in names.items():
        if name in ran and "read" in found[file]:
            read = found[file]["read"]
            if name in bad:
                found[file] = {"refused": run("journalctl", "-o", "cat", "-u", name).stdout}
                continue
            # As they are loaded, dollars are still written twice.
            for setting in ("ExecStart", "ExecStartEx", "ExecStartPre", "ExecStartPreEx"):
                read[setting] = [command[0] for command in read[setting]]
            read["arguments"] = [line.split("\0")[:-1] for line in (OUT / name).read_text().split("\n")]
    return found


def environments(files: Sequence[Path]) -> Verdicts:
    """The environment that systemd gives a process with each file."""
    empty = files[0].with_name("empty")
    empty.write_text("")
    named = {f"environment{path.stem}.service": path for path in (empty, *files)}
    for name, path in named.items():
        (UNITS / name).write_text(ENVIRONMENT.format(path=path, out=OUT / name))
    run("systemctl", "daemon-reload")
    run("systemctl", "start", *named)
    bad = failed(list(named))
    said: dict[str, Any] = {}
    for name, path in named.items():
        if name in bad:
            said[path.name] = {"refused": run("journalctl", "-o", "cat", "-u", name).stdout}
        else:
            text = (OUT / name).read_bytes().decode(errors="surrogateescape")
            said[path.name] = {"read": dict(line.split("=", 1) for line in text.split("\0")[:-1])}
    # What systemd gives every process.
    base = said.pop("empty")["read"]
    for one in said.values():
        if "read" in one:
            one["read"] = {
                name: value for name, value in one["read"].items() if name not in MOMENT and base.get(name) != value
            }
    return said


# --- daemons of their own --------------------------------------------------------------


def wait(fulfilled: Callable[[], bool], process: subprocess.Popen[Any], seconds: float = 10) -> bool:
    """Wait until something is so, or a process has ended."""
    until = time.monotonic() + seconds
    while not fulfilled():
        if process.poll() is not None or time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def end(process: subprocess.Popen[Any]) -> None:
    """End a process that began a session, and what it began in it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def listening() -> list[str]:
    """Addresses and ports, as hexadecimal digits, that anything listens at."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return sorted(words[1] for words in lines if words[3] == "0A")


def nginx(path: Path) -> dict[str, Any]:
    """Where nginx listens, and which backends it goes to: nothing is there, so it tries all of them."""
    log = Path("/var/log/api-load-balancer/access.log")
    log.unlink(missing_ok=True)
    tested = run("nginx", "-t", "-q", "-c", str(path))
    if tested.returncode or tested.stderr:
        return {"refused": tested.stderr}
    # One process, which answers as soon as it listens.
    process = subprocess.Popen(
        ["nginx", "-c", str(path), "-g", "daemon off; master_process off;"],
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        # The counters' is the last of its addresses.
        wait(lambda: any(one.endswith(f":{8404:04X}") for one in listening()), process)
        found = listening()
        # The backends of 6443 are in the option, or else those of a further listener are.
        port = next(port for port in (7443, 6443) if any(one.endswith(f":{port:04X}") for one in found))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            while client.recv(1024):
                pass
        wait(lambda: log.exists() and log.read_text().endswith("\n"), process)
        line = re.sub(r"^\S+ (.*) - \[.*\n", r"\1", log.read_text())
        # "escape" of log_format.
        backends = re.sub(rb"\\x(..)", lambda one: bytes([int(one[1], 16)]), line.encode()).decode().split(", ")
        return {"read": {"listens": found, "backends": unordered(backends)}}
    finally:
        end(process)


def keepalived(path: Path) -> dict[str, Any]:
    """What keepalived complains of, and what it dumps of the routers that it knows."""
    process = subprocess.Popen(
        ["keepalived", "--dont-fork", "--log-console", "--no-syslog", "--vrrp", "--dump-conf", f"--use-file={path}",
         "--pid=/run/keepalived.pid", "--vrrp_pid=/run/vrrp.pid"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    lines = []
    try:
        for line in process.stdout:
            text = line.decode(errors="surrogateescape").rstrip("\n")
            text = re.sub(r"^\w+ \w+ +\d+ [\d:]+ \d+: ", "", text)
            if "------< Interfaces >------" in text:
                break
            if not re.match(
                r"Running on|Command line:|  +'|Starting VRRP child|Startup complete|Configuration file", text
            ):
                lines.append(text)
        else:
            return {"refused": "\n".join(lines)}
    finally:
        end(process)
        for name in ("keepalived", "vrrp"):
            Path(f"/run/{name}.pid").unlink(missing_ok=True)
    begin = next(number for number, line in enumerate(lines) if "VRRP Topology" in line)
    wrong = [
        line for line in lines[:begin] if re.search(r"\(Line \d+\)|Unknown keyword|invalid|Invalid|not valid", line)
    ]
    return {"refused": "\n".join(wrong)} if wrong else {"read": [sorted(lines[:begin]), lines[begin:]]}


def bird(path: Path) -> dict[str, Any]:
    """Protocols that BIRD runs with a file, and what it takes its strings for."""
    tested = run("bird", "-p", "-c", str(path))
    if tested.returncode:
        return {"refused": tested.stderr}
    control = "/run/bird.test"
    process = subprocess.Popen(
        ["bird", "-f", "-c", str(path), "-s", control], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        # The socket is there before BIRD answers at it, and BIRD answers before it has its protocols.
        wait(lambda: "Daemon is up" in run("birdc", "-s", control, "show status").stdout, process)
        said = run("birdc", "-s", control, "show protocols all").stdout
        kept = r"(\w+ +(?:BGP|Device|Direct|Kernel) )|(    (?:Neighbor|Local|  Local|  Neighbor)\S* \w+: .*)"
        protocols = [match[0].strip() for match in re.finditer(kept, said)]
        # What it shows of neither, it evaluates as it has read it.
        written = re.findall(r"^  password (.*);$|^  return net ~ (\[.*?\])", path.read_text(), re.MULTILINE)
        values = [
            run("birdc", "-s", control, f"eval {one or other}").stdout.partition("\n")[2] for one, other in written
        ]
        return {"read": {"protocols": protocols, "values": values}}
    finally:
        end(process)
        Path(control).unlink(missing_ok=True)


def nft(path: Path) -> dict[str, Any]:
    """The rules that the kernel has after nft has taken a file."""
    tested = run("nft", "-c", "-f", str(path))
    if tested.returncode:
        return {"refused": tested.stderr}
    loaded = run("nft", "-f", str(path))
    said = json.loads(run("nft", "-j", "list", "ruleset").stdout)["nftables"]
    run("nft", "flush", "ruleset")
    if loaded.returncode:
        return {"refused": loaded.stderr}
    return {"read": ast.literal_eval(re.sub(r"'(handle|version|release_name)': [^,}]*,?", "", str(said)))}


def corefiles(files: Sequence[Path]) -> Verdicts:
    """What CoreDNS' parser has of each."""
    said = json.loads(run(str(Path(__file__).with_name("corefile")), *map(str, files)).stdout)
    return {Path(path).name: verdict for path, verdict in said.items()}


def each(judge: Callable[[Path], dict[str, Any]]) -> Callable[[Sequence[Path]], Verdicts]:
    """A judge of one file, for all."""
    return lambda files: {path.name: judge(path) for path in files}


JUDGES: dict[str, Callable[[Sequence[Path]], Verdicts]] = {
    "nginx": each(nginx),
    "keepalived": each(keepalived),
    "bird": each(bird),
    "nft": each(nft),
    "corefile": corefiles,
    "environment": environments,
    # Last, since it puts another program in the place of ip.
    "unit": units,
}


def prepare() -> None:
    """What the files take for granted on a host."""
    for path in (OUT, Path("/run/api-load-balancer"), Path("/var/log/api-load-balancer")):
        path.mkdir(parents=True, exist_ok=True)
    run("useradd", "--system", "api-load-balancer")
    for number, name in enumerate(("eth0", "mark0")):
        run("ip", "link", "add", name, "type", "bridge")
        run("ip", "address", "add", f"192.0.2.{11 + number}/24", "dev", name)
        run("ip", "link", "set", name, "up")
    run("ip", "address", "add", "192.0.2.7/24", "dev", "eth0")


def main() -> None:
    prepare()
    found: Verdicts = {}
    for form, judge in JUDGES.items():
        files = sorted(Path(sys.argv[1]).glob(f"*.{form}"))
        began = time.monotonic()
        if files:
            found.update(judge(files))
        print(f"{form}: {len(files)} files, {time.monotonic() - began:.1f} s", file=sys.stderr)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
