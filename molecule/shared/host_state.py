"""Print what a host is like, as JSON: whatever an uninstall must give back.

Run on the host before the first change and after the teardown; the two must be equal.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import time
from typing import Any

# Where the system itself writes as time goes by, and what Ansible leaves under its account.
VOLATILE = re.compile(
    r"^/(proc|sys|dev|tmp|run|var/(log|cache|tmp|lib/(apt|dpkg|systemd|private|ucf|dbus))|home|root)(/|$)"
    # useradd and userdel keep a copy of the file they change.
    r"|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$"
    r"|^/etc/(\.pwd\.lock|mtab|hosts|hostname|machine-id)$"
)
# Counted by the kernel, or random by nature.
VOLATILE_SYSCTLS = re.compile(
    r"(random|fs\.quota|inotify|\.nr-|\.nr_|file-nr|inode|dentry|ns_last_pid|boot_id|uuid|count|drop_caches|pty\.nr|"
    r"stat_refresh|\.flush|gc_|nf_log|nf_conntrack|perf_event|sched_domain|\.usermodehelper|tcp_fastopen_key)"
)


def run(*command: str) -> str:
    """Output of a command, without its counters."""
    # sudo may find no program in sbin.
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True, check=False)
    # The container engine's resolver listens on other ports after a restart.
    return re.sub(r"packets \d+ bytes \d+|\[\d+:\d+\]|(?<=127.0.0.11:)\d+|sport \d+", "", done.stdout)


def links() -> list[dict[str, Any]]:
    """Links and addresses, without what changes by itself."""
    found: list[dict[str, Any]] = json.loads(run("ip", "-json", "-details", "address", "show"))
    for link in found:
        for key in ("ifindex", "link_index", "promiscuity", "stats64", "operstate"):
            link.pop(key, None)
        data = link.get("linkinfo", {}).get("info_data", {})
        for key in [key for key in data if "timer" in key]:
            del data[key]
        for address in link["addr_info"]:
            for key in ("valid_life_time", "preferred_life_time"):
                address.pop(key, None)
    return found


def files() -> dict[str, str]:
    """Every path of the root file system with type, mode, owner and, of configuration, content."""
    found = {}
    for parent, directories, names in os.walk("/"):
        directories[:] = [
            name
            for name in directories
            if not VOLATILE.match(os.path.join(parent, name)) and not os.path.ismount(os.path.join(parent, name))
        ]
        for name in directories + names:
            path = os.path.join(parent, name)
            if VOLATILE.match(path):
                continue
            status = os.lstat(path)
            told = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
            if stat.S_ISLNK(status.st_mode):
                told += f" -> {os.readlink(path)}"
            elif stat.S_ISREG(status.st_mode):
                told += f" {status.st_size}"
                if path.startswith("/etc/"):
                    with open(path, "rb") as stream:
                        told += f" {hashlib.sha256(stream.read()).hexdigest()[:16]}"
            found[path] = told
    return found


def sysctls() -> dict[str, str]:
    """Settings of the kernel that are this host's own."""
    lines = run("sysctl", "--all").splitlines()
    found = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return {
        name: value
        for name, value in found.items()
        if not VOLATILE_SYSCTLS.search(name) and not re.search(r"\.(veth|eth\d+/)", name)
    }


def settle(seconds: float = 10) -> None:
    """Wait until no IPv6 address is tentative: one of a machine that has just started is for a second or two."""
    until = time.monotonic() + seconds
    while run("ip", "-6", "address", "show", "tentative") and time.monotonic() < until:
        time.sleep(0.2)


def main() -> None:
    settle()
    state = {
        "links": links(),
        "routes": {
            f"{family} {table}": run("ip", family, "route", "show", "table", table)
            for family in ("-4", "-6")
            for table in ("main", "local")
        },
        "rules": run("ip", "rule", "show") + run("ip", "-6", "rule", "show"),
        "fdb": sorted(run("bridge", "fdb", "show").splitlines()),
        "neighbours": sorted(run("ip", "neighbour", "show", "nud", "permanent").splitlines()),
        "namespaces": run("ip", "netns", "list"),
        "nftables": run("nft", "list", "ruleset"),
        "iptables": run("iptables-save", "-t", "filter") + run("iptables-save", "-t", "nat"),
        "ipsets": run("ipset", "list", "-name") if os.path.exists("/usr/sbin/ipset") else "",
        "sysctls": sysctls(),
        "units": sorted(run("systemctl", "list-unit-files", "--no-legend", "--plain").splitlines()),
        "running": sorted(
            line.split()[0]
            for line in run("systemctl", "list-units", "--no-legend", "--plain", "--type=service").splitlines()
        ),
        "accounts": run("getent", "passwd") + run("getent", "group"),
        "files": files(),
    }
    # iptables-save writes the time as a comment.
    state["iptables"] = re.sub(r"^#.*\n", "", str(state["iptables"]), flags=re.MULTILINE)
    print(json.dumps(state))


if __name__ == "__main__":
    main()
