"""An account is noted so that uninstall always gets past it, and never takes somebody else's."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.binary_cluster.networking.plugins.module_utils._host import accounts as host_accounts
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.accounts import AccountError
from ansible_collections.binary_cluster.networking.plugins.module_utils._host.install_record import Ledger, LedgerError


class Accounts:
    """Programs that manage accounts; they and the account database are the edge, and are emulated here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.numbers: dict[str, int] = {}
        self.groups: set[str] = set()
        self.ran: list[str] = []
        self.refuses: dict[str, str] = {}
        self.keeps_groups = False
        monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=self.numbers[name]))
        monkeypatch.setattr(grp, "getgrnam", self._group)

    def _group(self, name: str) -> SimpleNamespace:
        if name not in self.groups:
            raise KeyError(name)
        return SimpleNamespace(gr_mem=[])

    def run(self, words: Sequence[str]) -> tuple[int, str, str]:
        program, name = words[0], words[-1]
        self.ran.append(program)
        if program in self.refuses:
            return 1, "", self.refuses[program]
        if program == "useradd":
            self.numbers[name] = 998
            self.groups.add(name)
        elif program == "userdel":
            del self.numbers[name]
            if not self.keeps_groups:
                self.groups.discard(name)
        else:
            self.groups.discard(name)
        return 0, "", ""


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    return Accounts(monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger("etcd", str(tmp_path / "records"))


@pytest.mark.parametrize("keeps_groups", [False, True])
def test_an_account_that_was_made_here_goes_with_its_group(
    accounts: Accounts, ledger: Ledger, keeps_groups: bool
) -> None:
    accounts.keeps_groups = keeps_groups
    host_accounts.make(accounts.run, ledger, "etcd", "/var/lib/etcd")
    assert ledger.before("accounts", "etcd") == {"uid": 998}
    assert not host_accounts.remove(accounts.run, ledger, "etcd")
    assert not accounts.numbers
    assert not accounts.groups
    assert not ledger.entries


def test_an_account_that_useradd_did_not_make_is_not_noted(accounts: Accounts, ledger: Ledger) -> None:
    accounts.refuses["useradd"] = "useradd: cannot lock /etc/passwd; try again later."
    with pytest.raises(AccountError, match="useradd etcd: useradd: cannot lock /etc/passwd"):
        host_accounts.make(accounts.run, ledger, "etcd", "/nonexistent")
    assert not ledger.entries


def test_uninstall_gets_past_an_account_that_was_never_made(accounts: Accounts, ledger: Ledger) -> None:
    """Earlier versions noted it before useradd, and so does a run that is killed there."""
    ledger.record("accounts", "etcd", {})
    assert not host_accounts.remove(accounts.run, ledger, "etcd")
    assert not accounts.ran
    assert not ledger.entries


def test_an_account_of_that_name_that_somebody_else_made_stays(accounts: Accounts, ledger: Ledger) -> None:
    ledger.record("accounts", "etcd", {"uid": 997})
    accounts.numbers["etcd"] = 112
    assert host_accounts.remove(accounts.run, ledger, "etcd") == (
        "account etcd is left: it has number 112, and the one made here had 997"
    )
    assert not accounts.ran
    assert not ledger.entries


def test_an_account_that_userdel_keeps_stays_noted(accounts: Accounts, ledger: Ledger) -> None:
    host_accounts.make(accounts.run, ledger, "etcd", "/nonexistent")
    accounts.refuses["userdel"] = "userdel: user etcd is currently used by process 7"
    with pytest.raises(AccountError, match=r"userdel etcd: .* used by process 7"):
        host_accounts.remove(accounts.run, ledger, "etcd")
    assert ledger.owns("accounts", "etcd")


def test_an_account_that_is_not_noted_is_not_removed(accounts: Accounts, ledger: Ledger) -> None:
    accounts.numbers["root"] = 0
    with pytest.raises(LedgerError, match="root: not removed"):
        host_accounts.remove(accounts.run, ledger, "root")
    assert not accounts.ran
