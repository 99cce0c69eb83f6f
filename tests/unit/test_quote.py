"""A hostile value of an option is refused, or a file says with it what it says with any other, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.binary_cluster.networking.plugins.plugin_utils import _quote
from hypothesis import example, given, settings
from hypothesis import strategies as some

from tests.unit import role_templates
from tests.unit.format_readers import READERS

MARK = "MARK"
Options = Callable[[str], Mapping[str, Any]]
BALANCER = ("api_load_balancer", "api_load_balancer_vips")


def option(name: str, before: str = "") -> Options:
    return lambda text: {name: before + text}


def items(name: str, before: str = "https://") -> Options:
    return lambda text: {name: [before + text, f"{before}other"]}


def vip(text: str) -> Mapping[str, Any]:
    return {"api_load_balancer_vips": [{"address": text, "interface": "eth0"}]}


def interface(text: str) -> Mapping[str, Any]:
    return {"api_load_balancer_vips": [{"address": "192.0.2.100", "interface": text}]}


def members(role: str) -> Options:
    return lambda text: {f"{role}_members": {"node1": text, "node2": f"{text}9"}}


def peer(name: str) -> Options:
    told = {"address": "192.0.2.1", "as_number": 64500, "password": "x"}
    return lambda text: {"calico_encapsulation": "ipip", "calico_bgp_peers": [{**told, name: text}]}


def pools(text: str) -> Mapping[str, Any]:
    return {"calico_encapsulation": "none", "calico_ip_pools": [{"name": text, "cidr": text, "node_selector": text}]}


# Role, template, format, and the options with a text in them.
FILES: list[tuple[str, str, str, Options]] = [
    ("etcd", "etcd.service.j2", "unit", option("etcd_data_directory", "/")),
    ("etcd", "etcd.env.j2", "environment", option("etcd_data_directory", "/")),
    ("etcd", "etcd.env.j2", "environment", option("etcd_auto_compaction_mode")),
    ("etcd", "etcd.env.j2", "environment", option("etcd_auto_compaction_retention")),
    ("etcd", "etcd.env.j2", "environment", lambda text: {"etcd_environment": {"ETCD_X": text, "ETCD_Y": "y"}}),
    ("etcd", "etcd.env.j2", "environment", lambda text: {"etcd_environment": {f"ETCD_{text}": "y"}}),
    ("etcd", "etcd.env.j2", "environment", members("etcd")),
    ("etcd", "members.yml.j2", "yaml", members("etcd")),
    ("etcd", "certificates.yml.j2", "yaml", items("etcd_extra_names", "")),
    ("flannel", "flanneld.service.j2", "unit", items("flannel_etcd_endpoints")),
    ("flannel", "flanneld.service.j2", "unit", option("flannel_etcd_prefix")),
    ("flannel", "flanneld.service.j2", "unit", option("flannel_interface")),
    ("flannel", "network.yml.j2", "yaml", option("flannel_network")),
    ("flannel", "network.yml.j2", "yaml", option("flannel_subnet_min")),
    ("flannel", "network.yml.j2", "yaml", option("flannel_subnet_max")),
    ("flannel", "network.yml.j2", "yaml", option("flannel_backend")),
    ("calico", "felix.env.j2", "environment", items("calico_etcd_endpoints")),
    ("calico", "felix.env.j2", "environment", items("calico_failsafe_inbound", "tcp:")),
    ("calico", "felix.env.j2", "environment", items("calico_failsafe_outbound", "tcp:")),
    ("calico", "calicoctl.cfg.j2", "yaml", items("calico_etcd_endpoints")),
    ("calico", "resources.yml.j2", "yaml", pools),
    ("calico", "resources.yml.j2", "yaml", lambda text: {"calico_node_labels": {"a": text}}),
    ("calico", "bird.conf.j2", "bird", pools),
    ("calico", "bird.conf.j2", "bird", peer("password")),
    ("calico", "bird.conf.j2", "bird", peer("address")),
    ("coredns", "coredns.service.j2", "unit", option("coredns_address")),
    ("coredns", "zones.yml.j2", "yaml", option("cluster_dns_domain")),
    ("coredns", "zones.yml.j2", "yaml", option("coredns_address")),
    ("coredns", "zones.yml.j2", "yaml", option("coredns_etcd_path")),
    ("coredns", "zones.yml.j2", "yaml", option("cluster_api_name")),
    ("coredns", "zones.yml.j2", "yaml", option("cluster_api_vip")),
    ("coredns", "zones.yml.j2", "yaml", items("coredns_etcd_endpoints")),
    ("coredns", "zones.yml.j2", "yaml", items("coredns_upstreams", "")),
    ("coredns", "Corefile", "corefile", option("coredns_status_address")),
    ("coredns", "Corefile", "corefile", option("coredns_etcd_path")),
    ("coredns", "Corefile", "corefile", items("coredns_etcd_endpoints")),
    ("coredns", "Corefile", "corefile", items("coredns_upstreams", "")),
    ("coredns", "Corefile", "corefile", items("coredns_listen", "")),
    ("coredns", "Corefile", "corefile", items("coredns_allowed_networks", "")),
    ("coredns", "Corefile", "corefile", lambda text: {"coredns_kubernetes": {"endpoint": text, "pods": text}}),
    ("coredns", "Corefile", "corefile", lambda text: {"coredns_further_zones": [{"names": ["."],
     "forward": {"to": ["192.0.2.53"], "policy": text, "tls_servername": text}}]}),
    ("api_load_balancer", "nginx.conf.j2", "nginx", items("api_load_balancer_backends", "")),
    ("api_load_balancer", "nginx.conf.j2", "nginx",
     lambda text: {"api_load_balancer_listeners": [{"port": 7443, "backends": [text]}]}),
    ("api_load_balancer", "keepalived.conf.j2", "keepalived", option("api_load_balancer_vrrp_password")),
    ("api_load_balancer", "keepalived.conf.j2", "keepalived", members("api_load_balancer")),
    ("api_load_balancer", "keepalived.conf.j2", "keepalived", vip),
    ("api_load_balancer", "keepalived.conf.j2", "keepalived", interface),
    ("api_load_balancer", "vrrp.nft.j2", "nft", members("api_load_balancer")),
    ("api_load_balancer", "hand-over.nft.j2", "nft", members("api_load_balancer")),
    ("api_load_balancer", "release-addresses.j2", "shell", vip),
    ("api_load_balancer", "release-addresses.j2", "shell", interface),
    ("api_load_balancer", "health.json.j2", "yaml", option("api_load_balancer_probe_path")),
    ("api_load_balancer", "health.json.j2", "yaml", option("api_load_balancer_notify")),
    ("verify", "watch.timer.j2", "unit", option("verify_timer")),
    ("verify", "names.yml.j2", "yaml", option("cluster_dns_domain")),
    ("verify", "names.yml.j2", "yaml",
     lambda text: {"cluster_dns_upstreams": ["192.0.2.53"], "verify_outside_name": text}),
]  # fmt: skip
HOSTILE = some.text(alphabet="aZ0.-_/:=,;%$#!@&|~*?<>(){}[]+^`'\"\\ \t\n\r\x00\x7f\x85\u2028\xa0é€", max_size=6)
PARTS = some.sampled_from([
    "\nExecStartPre=+/bin/x", "\nETCD_CLIENT_CERT_AUTH=false", "%n", "${HOME}", "$HOME", "$(id)", "`id`", " --x",
    '" --x="',
    " ; /bin/x", "\\", '\\"', "{$HOME}", "{%HOME%}", "; x 1", "} x {", " # x", "!x", "x: y", "- x", "', x: '",
    "\tx", ",x",
])  # fmt: skip


def read(role: str, template: str, form: str, options: Mapping[str, Any]) -> Any:
    """What the file says. Raises AnsibleError where it is refused."""
    if template == "Corefile":
        files = role_templates.evaluate(role, "_coredns_rendered.files", options)
        text = next(file["content"] for file in files if file["path"].endswith("/Corefile"))
        # The digest of all files is another with every value.
        text = re.sub(r"chaos \w+", "chaos", text)
    else:
        text = role_templates.render(role, template, options)
    return READERS[form](text)


def replaced(value: Any, text: str) -> Any:
    """What was read, with the text in place of the mark."""
    if isinstance(value, str):
        return value.replace(MARK, text)
    if isinstance(value, dict):
        return {replaced(name, text): replaced(one, text) for name, one in value.items()}
    return [replaced(one, text) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("role", "template", "form", "options"), FILES)
@settings(max_examples=5, deadline=None)
@given(text=some.lists(HOSTILE | PARTS, min_size=1, max_size=3).map("".join).filter(bool))
@example(text="\nx")
def test_a_hostile_value_is_refused_or_means_itself(
    role: str, template: str, form: str, options: Options, text: str
) -> None:
    meant = read(role, template, form, options(MARK))
    assert meant != replaced(meant, "other"), "the option is not in the file"
    try:
        said = read(role, template, form, options(text))
    except AnsibleError:
        return
    assert said == replaced(meant, text)


@pytest.mark.parametrize("form", _quote.FORMATS)
@given(
    before=some.text(max_size=3),
    line=some.sampled_from("\n\r\x00\x1b\x85\u2028\ud800\ufffe"),
    after=some.text(max_size=3),
)
def test_no_format_takes_a_second_line(form: str, before: str, line: str, after: str) -> None:
    with pytest.raises(_quote.QuoteError, match=r"^etcd_x: character U"):
        _quote.quoted(before + line + after, form, "etcd_x")


@pytest.mark.parametrize(
    ("form", "value", "error"),
    [
        ("unit_path", "/srv/my etcd",
         "v: character ' ' cannot be written to an absolute path in a systemd unit; leave it out"),
        ("unit_path", "srv", "v: character 's' cannot be written to an absolute path in a systemd unit; leave it out"),
        ("unit", "daily\\", "v: character '\\\\' cannot be written to a setting of a systemd unit; leave it out"),
        ("unit", "daily ", "v: character ' ' cannot be written to a setting of a systemd unit; leave it out"),
        ("unit", "", "v: cannot be empty in a setting of a systemd unit; give it a value"),
        ("environment", "a\tb", "v: character U+0009 cannot be written to an environment file; leave it out"),
        ("keepalived", "pa!ss", "v: character '!' cannot be written to a word in keepalived.conf; leave it out"),
        ("bird", 'pa"ss', "v: character '\"' cannot be written to a string in bird.conf; leave it out"),
        ("nginx", "$host", "v: character '$' cannot be written to a word in nginx.conf; leave it out"),
        ("corefile", "{$HOME}", "v: character '{' cannot be written to a word in the Corefile; leave it out"),
    ],
)  # fmt: skip
def test_what_is_refused_is_named(form: str, value: str, error: str) -> None:
    with pytest.raises(_quote.QuoteError) as refused:
        _quote.quoted(value, form, "v")
    assert str(refused.value) == error


def test_an_item_of_a_list_is_one_item() -> None:
    assert _quote.quoted(["a", "b"], "environment", "v") == "a,b"
    with pytest.raises(_quote.QuoteError, match=r"^v: character ',' cannot be written to an item of a list"):
        _quote.quoted(["a,b"], "environment", "v")


# What is no text of anybody's: numbers and booleans, what a filter wrote, and names that the roles give themselves.
WRITTEN = re.compile(
    r"quoted[(']|\| (int|float|bool|lower|to_json|to_nice_json\(indent=2\)|comment)\b|bool \| to_json"
    r"|^(_api_load_balancer_(account|directory|health|hand_over|priority|drain \+ 30)|_verify_watch(_library)?"
    r"|_etcd_peer_name|router\.(id|name)|router\.further|seconds|_api_load_balancer_ports .*"
    r"|loop\.index|capability|listener\.port \| int"
    r"|'bird' if .*|_calico_mode if .*)$"
)
# Set in the template, of what was written there.
SET = re.compile(r"\{%-? set (\w+) = (?:(?!%\}).)*(quoted|nth_address|'udp dport ')", re.S)
TEMPLATES = sorted(role_templates.ROOT.glob("roles/*/templates/*.j2"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_no_template_writes_a_value_as_it_is(path: Path) -> None:
    text = path.read_text()
    own = {match[1] for match in SET.finditer(text)}
    if path.name == "due.yml.j2":
        own.add("name")  # of a daemon
    written = re.findall(r"\{\{ (.*?) \}\}", text)
    assert [one for one in written if not WRITTEN.search(one) and re.split(r"\W", one)[0] not in own] == []
