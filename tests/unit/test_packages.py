"""Packages that others install are never taken for ours, and what is ours goes."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import packages as host_packages
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger, LedgerError
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.packages import PackageError
from ansible_collections.binary_cluster.networking.plugins.modules import packages

# What apt 2.6 writes, shortened: its settings, then the packages of the transaction.
PROTOCOL = """\
VERSION 2
APT::Architecture=amd64
DPkg::Post-Invoke::=rm - < /x/y /z
Acquire::http::Proxy=http://user:secret@proxy.example/

libnl-3-200 - < 3.7.0-0.2+b1 /var/cache/apt/archives/libnl-3-200_3.7.0-0.2+b1_amd64.deb
keepalived - < 1:2.2.7-1+b2 /var/cache/apt/archives/keepalived_1%3a2.2.7-1+b2_amd64.deb
libc6 2.36-9+deb12u3 < 2.36-9+deb12u9 /var/cache/apt/archives/libc6_2.36-9+deb12u9_amd64.deb
oldthing 1.0 > - **REMOVE**
libnl-3-200 - < 3.7.0-0.2+b1 **CONFIGURE**
keepalived - < 1:2.2.7-1+b2 **CONFIGURE**
"""


class Dpkg:
    """A host's packages; dpkg and apt-get are the edge, and are emulated here."""

    def __init__(self, *names: str) -> None:
        self.states = dict.fromkeys(names, "installed")
        self.ran: list[list[str]] = []
        self.others: list[str] = []
        self.fails = ""

    def __call__(self, words: Sequence[str], **_settings: Any) -> tuple[int, str, str]:
        self.ran.append(list(words))
        if words[0] == "dpkg-query":
            return 0, "".join(f"{name}\t{state}\t\t, \n" for name, state in self.states.items()), ""
        if words[0] == "systemctl":
            return 0, "LoadState=not-found\n", ""
        if words[:2] == ["apt-get", "update"]:
            return 0, "", ""
        if words[0] == "apt-get":
            return self._get(words)
        for name in words[2:]:
            self.states[name] = "config-files"
            if words[1] == "--purge":
                del self.states[name]
        return 0, "", ""

    def _get(self, words: Sequence[str]) -> tuple[int, str, str]:
        hook = next(word for word in words if word.startswith("-oDPkg::Pre-Install-Pkgs"))
        with Path(hook.partition(">>")[2]).open("a") as stream:
            stream.write(PROTOCOL)
        # While this one waited for the lock, and while it ran.
        self.states.update(dict.fromkeys(self.others, "installed"))
        if self.fails:
            self.states["keepalived"] = "half-configured"
            return 100, "", self.fails
        self.states.update(dict.fromkeys(("libnl-3-200", "keepalived"), "installed"))
        return 0, "", ""


class Module:
    """What the functions need of an AnsibleModule."""

    check_mode = False

    def __init__(self, run: Dpkg, **params: Any) -> None:
        self.run_command, self.params = run, params


def module(run: Dpkg, **params: Any) -> Any:
    """A module, for functions that take one."""
    return Module(run, **params)


WANTED = {
    "name": "keepalived",
    "packages": ["keepalived"],
    "provides": ["/nowhere/keepalived"],
    "units": [],
    "leaves": [],
}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("packages", str(tmp_path / "records"))


def install(run: Dpkg, ledger: Ledger) -> None:
    # The program itself is not there on this machine, which the module says at its end.
    with pytest.raises(PackageError, match="/nowhere/keepalived: still missing"):
        packages.install(module(run, sets=[WANTED]), ledger)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"packages": ["-oDir::Etc=/tmp"]}, "'-oDir::Etc=/tmp': not the name of a package"),
        ({"packages": ["a b"]}, "'a b': not the name of a package"),
        ({"packages": ["nginx\n"]}, "'nginx\\n': not the name of a package"),
        ({"units": ["../x"]}, "units: '../x': not the name of a unit"),
    ],
)
def test_what_no_package_or_unit_is_called_is_refused(part: dict[str, list[str]], told: str, ledger: Ledger) -> None:
    with pytest.raises(PackageError) as refused:
        packages.install(module(Dpkg(), sets=[{**WANTED, **part}]), ledger)
    assert str(refused.value).startswith(told)


def test_new_packages_are_those_of_the_transaction_alone() -> None:
    assert host_packages.new_packages(PROTOCOL) == ["keepalived", "libnl-3-200"]


def test_what_somebody_else_installs_in_the_meantime_is_not_noted(ledger: Ledger) -> None:
    run = Dpkg("libc6")
    run.others = ["htop", "cloud-guest-utils"]
    install(run, ledger)
    assert ledger.names("packages") == ["keepalived", "libnl-3-200"]
    packages.uninstall(module(run, names=["keepalived"]), ledger)
    assert list(run.states) == ["libc6", "htop", "cloud-guest-utils"]
    assert not ledger.entries
    assert not Path(ledger.directory).exists()


def test_apts_settings_are_readable_by_nobody_else_and_do_not_stay(ledger: Ledger) -> None:
    ledger.record("sets", "x", {})
    path = Path(host_packages.begin(ledger.directory))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    host_packages.finish(ledger.directory)
    assert not path.exists()


def test_a_transaction_that_broke_off_is_noted_as_far_as_it_came(ledger: Ledger) -> None:
    run = Dpkg("libc6")
    run.others = ["libnl-3-200"]  # unpacked and configured before the rest failed
    run.fails = "E: Sub-process /usr/bin/dpkg returned an error code (1)"
    with pytest.raises(
        PackageError, match="apt-get install --yes --quiet --no-install-recommends keepalived: E: Sub-process"
    ):
        packages.install(module(run, sets=[WANTED]), ledger)
    assert ledger.names("packages") == ["keepalived", "libnl-3-200"]
    packages.uninstall(module(run, names=["keepalived"]), ledger)
    assert list(run.states) == ["libc6"]


def test_a_run_that_was_killed_after_apt_began_is_made_up_for_by_the_next(ledger: Ledger) -> None:
    run = Dpkg("libc6")
    ledger.record("sets", "keepalived", {"packages": ["keepalived"], "leaves": [], "masks": []})
    run(["apt-get", "install", *host_packages.transaction_options(host_packages.begin(ledger.directory))])
    packages.uninstall(module(run, names=["keepalived"]), ledger)
    assert list(run.states) == ["libc6"]
    assert not Path(ledger.directory).exists()


def test_configuration_that_was_left_of_a_package_is_left_again(ledger: Ledger) -> None:
    run = Dpkg("libc6")
    run.states["keepalived"] = "config-files"
    install(run, ledger)
    packages.uninstall(module(run, names=["keepalived"]), ledger)
    assert run.states == {"libc6": "installed", "keepalived": "config-files"}


def test_packages_that_are_not_noted_are_not_purged(ledger: Ledger) -> None:
    run = Dpkg("libc6")
    with pytest.raises(LedgerError, match="libc6: not removed"):
        host_packages.purge(run, ledger, ["libc6"])
    assert not run.ran
