"""Every option whose text is written to a file of another format than Ansible's, and the file that it is written to."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tests.unit import role_templates

MARK = "MARK"
Options = Callable[[str], Mapping[str, Any]]


class Rendered(NamedTuple):
    """A file of a role, and the options, made of a text, that it is rendered with."""

    role: str
    template: str
    # A key of format_readers.READERS.
    form: str
    options: Options
    # A text that the daemon takes. With one of its own, it takes no other than such texts: addresses, dates, links.
    valid: str = MARK
    # Letters that the daemon takes; preflight refuses longer texts.
    longest: int = 100

    @property
    def closed(self) -> bool:
        """Whether the daemon refuses what is well written, but no address, date or link."""
        return self.valid != MARK

    def render(self, text: str) -> str:
        """The file with this text. Raises AnsibleError where it is refused."""
        if self.template != "Corefile":
            return role_templates.render(self.role, self.template, self.options(text))
        files = role_templates.evaluate(self.role, "_coredns_rendered.files", self.options(text))
        found = next(file["content"] for file in files if file["path"].endswith("/Corefile"))
        # The digest of all files is another with every value.
        return re.sub(r"chaos \w+", "chaos", found)


def replaced(value: Any, mark: str, text: str) -> Any:
    """What was read, with the text in place of the mark."""
    if isinstance(value, str):
        return value.replace(mark, text)
    if isinstance(value, dict):
        return {replaced(name, mark, text): replaced(one, mark, text) for name, one in value.items()}
    return [replaced(one, mark, text) for one in value] if isinstance(value, list) else value


def option(name: str, before: str = "", **others: Any) -> Options:
    return lambda text: {name: before + text, **others}


def items(name: str, before: str = "https://") -> Options:
    return lambda text: {name: [before + text, f"{before}other"]}


def vip(text: str) -> Mapping[str, Any]:
    return {"api_load_balancer_vips": [{"address": text, "interface": "eth0"}]}


def interface(text: str) -> Mapping[str, Any]:
    return {"api_load_balancer_vips": [{"address": "192.0.2.100", "interface": text}]}


def members(role: str) -> Options:
    return lambda text: {f"{role}_members": {"node1": text, "node2": f"{text}9"}}


def balancers(text: str) -> Mapping[str, Any]:
    return {**members("api_load_balancer")(text), **vip("192.0.2.100")}


def other_member(text: str) -> Mapping[str, Any]:
    return {"api_load_balancer_members": {"node1": "192.0.2.11", "node2": text}}


def peer(name: str) -> Options:
    told = {"address": "192.0.2.1", "as_number": 64500, "password": "x"}
    return lambda text: {"calico_encapsulation": "ipip", "calico_bgp_peers": [{**told, name: text}]}


def pools(text: str) -> Mapping[str, Any]:
    return {"calico_encapsulation": "none", "calico_ip_pools": [{"name": text, "cidr": text, "node_selector": text}]}


FILES = [
    Rendered("etcd", "etcd.service.j2", "unit", option("etcd_data_directory", "/")),
    Rendered("etcd", "etcd.env.j2", "environment", option("etcd_data_directory", "/")),
    Rendered("etcd", "etcd.env.j2", "environment", option("etcd_auto_compaction_mode")),
    Rendered("etcd", "etcd.env.j2", "environment", option("etcd_auto_compaction_retention")),
    Rendered("etcd", "etcd.env.j2", "environment", lambda text: {"etcd_environment": {"ETCD_X": text, "ETCD_Y": "y"}}),
    Rendered("etcd", "etcd.env.j2", "environment", lambda text: {"etcd_environment": {f"ETCD_{text}": "y"}}),
    Rendered("etcd", "etcd.env.j2", "environment", members("etcd")),
    Rendered("etcd", "members.yml.j2", "yaml", members("etcd")),
    Rendered("etcd", "certificates.yml.j2", "yaml", items("etcd_extra_names", "")),
    Rendered("flannel", "flanneld.service.j2", "unit", items("flannel_etcd_endpoints")),
    Rendered("flannel", "flanneld.service.j2", "unit", option("flannel_etcd_prefix")),
    Rendered("flannel", "flanneld.service.j2", "unit", option("flannel_interface")),
    Rendered("flannel", "network.yml.j2", "yaml", option("flannel_network")),
    Rendered("flannel", "network.yml.j2", "yaml", option("flannel_subnet_min")),
    Rendered("flannel", "network.yml.j2", "yaml", option("flannel_subnet_max")),
    Rendered("flannel", "network.yml.j2", "yaml", option("flannel_backend")),
    Rendered("calico", "felix.env.j2", "environment", items("calico_etcd_endpoints")),
    Rendered("calico", "felix.env.j2", "environment", items("calico_failsafe_inbound", "tcp:")),
    Rendered("calico", "felix.env.j2", "environment", items("calico_failsafe_outbound", "tcp:")),
    Rendered("calico", "calicoctl.cfg.j2", "yaml", items("calico_etcd_endpoints")),
    Rendered("calico", "resources.yml.j2", "yaml", pools),
    Rendered("calico", "resources.yml.j2", "yaml", lambda text: {"calico_node_labels": {"a": text}}),
    Rendered("calico", "bird.conf.j2", "bird", pools, "10.77.0.0/16"),
    Rendered("calico", "bird.conf.j2", "bird", peer("password")),
    Rendered("calico", "bird.conf.j2", "bird", peer("address"), "192.0.2.7"),
    Rendered("coredns", "coredns.service.j2", "unit", option("coredns_address")),
    Rendered("coredns", "zones.yml.j2", "yaml", option("cluster_dns_domain")),
    Rendered("coredns", "zones.yml.j2", "yaml", option("coredns_address")),
    Rendered("coredns", "zones.yml.j2", "yaml", option("coredns_etcd_path")),
    Rendered("coredns", "zones.yml.j2", "yaml", option("cluster_api_name")),
    Rendered("coredns", "zones.yml.j2", "yaml", option("cluster_api_vip")),
    Rendered("coredns", "zones.yml.j2", "yaml", items("coredns_etcd_endpoints")),
    Rendered("coredns", "zones.yml.j2", "yaml", items("coredns_upstreams", "")),
    Rendered("coredns", "Corefile", "corefile", option("coredns_status_address")),
    Rendered("coredns", "Corefile", "corefile", option("coredns_etcd_path")),
    Rendered("coredns", "Corefile", "corefile", items("coredns_etcd_endpoints")),
    Rendered("coredns", "Corefile", "corefile", items("coredns_upstreams", "")),
    Rendered("coredns", "Corefile", "corefile", items("coredns_listen", "")),
    Rendered("coredns", "Corefile", "corefile", items("coredns_allowed_networks", "")),
    Rendered("coredns", "Corefile", "corefile", lambda text: {"coredns_kubernetes": {"endpoint": text, "pods": text}}),
    Rendered(
        "coredns",
        "Corefile",
        "corefile",
        lambda text: {
            "coredns_further_zones": [
                {"names": ["."], "forward": {"to": ["192.0.2.53"], "policy": text, "tls_servername": text}}
            ]
        },
    ),
    Rendered("api_load_balancer", "nginx.conf.j2", "nginx", items("api_load_balancer_backends", "unix:/")),
    Rendered(
        "api_load_balancer",
        "nginx.conf.j2",
        "nginx",
        lambda text: {"api_load_balancer_listeners": [{"port": 7443, "backends": [f"unix:/{text}"]}]},
    ),
    Rendered(
        "api_load_balancer",
        "keepalived.conf.j2",
        "keepalived",
        option(
            "api_load_balancer_vrrp_password", api_load_balancer_vrrp_version=2, api_load_balancer_advert_interval=1
        ),
        longest=8,
    ),
    Rendered("api_load_balancer", "keepalived.conf.j2", "keepalived", balancers, "192.0.2.7"),
    Rendered("api_load_balancer", "keepalived.conf.j2", "keepalived", vip, "192.0.2.77"),
    Rendered("api_load_balancer", "keepalived.conf.j2", "keepalived", interface, "mark0"),
    Rendered("api_load_balancer", "vrrp.nft.j2", "nft", other_member, "192.0.2.7"),
    Rendered("api_load_balancer", "hand-over.nft.j2", "nft", other_member, "192.0.2.7"),
    Rendered("api_load_balancer", "release-addresses.j2", "shell", vip),
    Rendered("api_load_balancer", "release-addresses.j2", "shell", interface),
    Rendered("api_load_balancer", "health.json.j2", "yaml", option("api_load_balancer_probe_path")),
    Rendered("api_load_balancer", "health.json.j2", "yaml", option("api_load_balancer_notify")),
    Rendered("verify", "watch.timer.j2", "unit", option("verify_timer"), "2031-02-03 04:05:06"),
    Rendered("verify", "names.yml.j2", "yaml", option("cluster_dns_domain")),
    Rendered(
        "verify",
        "names.yml.j2",
        "yaml",
        lambda text: {"cluster_dns_upstreams": ["192.0.2.53"], "verify_outside_name": text},
    ),
]
