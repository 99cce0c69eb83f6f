"""Files of the client of an etcd that others run."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.action.etcd_access import given
from ansible_collections.binary_cluster.networking.plugins.filter.etcd_client_files import etcd_client_files
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates import etcd_client
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._certificates.authority import (
    Authority,
    Request,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A client of somebody's authority, and another client's key."""
    directory = tmp_path_factory.mktemp("pki")
    authority = Authority(str(directory), 30)
    authority.ensure("theirs", 365)
    for name in ("backup", "other"):
        authority.issue(Request("h1", name, f"user-{name}"), 90)
    client = directory / "h1"
    return {"ca": f"{directory}/ca.crt", "certificate": f"{client}/backup.crt", "key": f"{client}/backup.key"}


def test_usable_files_are_accepted(files: dict[str, str]) -> None:
    assert list(etcd_client.faults(files)) == []
    assert etcd_client.common_name(files["certificate"]) == "user-backup"
    assert given(files)["client.key"] == Path(files["key"]).read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": ""}, ("cluster_etcd_client_files.key", "not set", "path of a file on the controller")),
        ({"ca": "/nowhere"}, ("cluster_etcd_client_files.ca", "/nowhere", "No such file or directory")),
        ({"certificate": __file__}, ("cluster_etcd_client_files.certificate", __file__, "not a certificate in PEM")),
        ({"key": __file__}, ("cluster_etcd_client_files.key", __file__, "not a key in PEM")),
        ({"key": "other"}, ("cluster_etcd_client_files.key", "other.key", "it is not the key of ")),
    ],
)
def test_unusable_files_are_named(files: dict[str, str], change: dict[str, str], told: tuple[str, str, str]) -> None:
    if change == {"key": "other"}:
        change = {"key": files["key"].replace("backup", "other")}
    found = list(etcd_client.faults({**files, **change}))
    assert len(found) == 1
    assert all(words in said for words, said in zip(told, found[0]))


def test_what_is_no_set_of_files_is_refused() -> None:
    ((place, value, _remedy),) = etcd_client.faults("/srv/pki")
    assert (place, value) == ("cluster_etcd_client_files", "/srv/pki")


def test_files_that_are_given_come_before_those_of_the_authority(files: dict[str, str]) -> None:
    assert etcd_client_files("flannel", "n1", "", files) == files
    assert etcd_client_files("flannel", "n1", "/srv/pki")["key"] == "/srv/pki/etcd/n1/flannel.key"
