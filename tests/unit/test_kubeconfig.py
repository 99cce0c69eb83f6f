"""Kubeconfigs are pointed to another server, and restored, with all that others put into them kept."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._rendering import kubeconfig
from hypothesis import given, strategies as st

# As kubectl config writes one, with a second cluster that is none of our business.
OTHERS = kubeconfig.parse(
    b"""
apiVersion: v1
kind: Config
preferences: {colors: true, since: 2026-01-01T00:00:00Z}
current-context: kubelet
clusters:
- name: prod
  cluster: {server: "https://192.0.2.21:6443", insecure-skip-tls-verify: true, tls-server-name: api, proxy-url: "http://p"}
- name: test
  cluster: {server: "https://198.51.100.1:6443"}
contexts:
- name: kubelet
  context: {cluster: prod, user: system:node:a, namespace: kube-system}
- name: test
  context: {cluster: test, user: me}
users:
- name: system:node:a
  user: {client-certificate: /var/lib/kubelet/pki/current.pem, client-key: /var/lib/kubelet/pki/current.pem}
- name: me
  user: {token: t}
"""
)
SERVER = {"server": "https://192.0.2.100:6443"}


def retargeted(
    config: kubeconfig.Config, cluster: dict[str, str], user: dict[str, str] | None = None
) -> kubeconfig.Config:
    return kubeconfig.retargeted(config, kubeconfig.names(config), kubeconfig.Connection(cluster, user or {}))


def test_only_the_server_of_the_cluster_in_use_changes() -> None:
    wanted = copy.deepcopy(OTHERS)
    wanted["clusters"][0]["cluster"]["server"] = SERVER["server"]
    assert retargeted(OTHERS, SERVER) == wanted


def test_one_that_leads_there_already_is_as_it_was() -> None:
    once = retargeted(OTHERS, SERVER)
    assert retargeted(once, SERVER) == once


def test_a_trust_replaces_every_other() -> None:
    made = retargeted(OTHERS, {**SERVER, "certificate-authority-data": "QQ=="})
    assert made["clusters"][0]["cluster"] == {
        **SERVER, "tls-server-name": "api", "proxy-url": "http://p", "certificate-authority-data": "QQ=="
    }  # fmt: skip


def test_a_credential_replaces_every_other() -> None:
    assert retargeted(OTHERS, SERVER, {"token": "new"})["users"][0]["user"] == {"token": "new"}


def test_a_new_one_is_whole() -> None:
    assert retargeted({}, SERVER, {"token": "t"}) == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kubernetes", "cluster": SERVER}],
        "users": [{"name": "default", "user": {"token": "t"}}],
        "contexts": [{"name": "default", "context": {"cluster": "kubernetes", "user": "default"}}],
        "current-context": "default",
    }


def test_what_it_is_given_is_not_changed_in_place() -> None:
    before = copy.deepcopy(OTHERS)
    retargeted(OTHERS, SERVER, {"token": "new"})
    assert before == OTHERS


def test_led_back_what_others_did_in_the_meantime_is_kept() -> None:
    made = retargeted(OTHERS, {**SERVER, "certificate-authority-data": "QQ=="}, {"token": "new"})
    made["contexts"][1]["context"]["namespace"] = "theirs"
    made["clusters"][0]["cluster"]["tls-server-name"] = "theirs"
    back = kubeconfig.restored(made, kubeconfig.names(OTHERS), OTHERS)
    wanted = copy.deepcopy(OTHERS)
    wanted["contexts"][1]["context"]["namespace"] = "theirs"
    wanted["clusters"][0]["cluster"]["tls-server-name"] = "theirs"
    assert back == wanted


@given(
    cluster=st.sampled_from(["", "prod", "test", "new"]),
    user=st.sampled_from(["", "me", "new"]),
    context=st.sampled_from(["", "test", "new"]),
    trust=st.sampled_from([{}, {"certificate-authority-data": "QQ=="}, {"certificate-authority": "/ca"}]),
    credential=st.sampled_from([{}, {"token": "new"}, {"client-certificate-data": "QQ==", "client-key-data": "QQ=="}]),
    before=st.sampled_from([OTHERS, {**OTHERS, "current-context": "test"}]),
)
def test_leading_there_and_back_ends_where_it_began(
    cluster: str, user: str, context: str, trust: dict[str, str], credential: dict[str, str], before: kubeconfig.Config
) -> None:
    which = kubeconfig.names(before, cluster, user, context)
    there = kubeconfig.retargeted(before, which, kubeconfig.Connection({**SERVER, **trust}, credential))
    assert kubeconfig.connection(there, which).cluster["server"] == SERVER["server"]
    assert kubeconfig.parse(kubeconfig.render(there)) == there
    assert kubeconfig.restored(there, which, before) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not YAML: "),
        (b"- a\n", "not a kubeconfig; move it away, or name another path"),
        (b"clusters: 1\n", "not a kubeconfig; move it away, or name another path"),
    ],
)
def test_what_is_no_kubeconfig_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(kubeconfig.KubeconfigError, match=words):
        kubeconfig.parse(text)


def test_one_without_a_current_context_wants_to_be_told() -> None:
    config = {key: value for key, value in OTHERS.items() if key != "current-context"}
    with pytest.raises(kubeconfig.KubeconfigError, match="name one of kubelet, test as context"):
        kubeconfig.names(config)
