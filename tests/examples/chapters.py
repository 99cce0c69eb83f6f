"""Examples in orders in which they make sense, and what they find on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.examples.printed import CHECKOUT


@dataclass(frozen=True)
class Chapter:
    """Examples that run one after the other: first those of roles, then those of modules."""

    name: str
    # The places of modules' examples, as of_modules() has them.
    modules: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    # Commands on the host before all of them.
    before: str = ""
    # Files beside the playbook, by name.
    files: dict[str, str] = field(default_factory=dict)
    # Roles that are uninstalled at the end, since the next chapter deploys another of their kind.
    gone: tuple[str, ...] = ()


ETCD_UNIT = """[Service]
ExecStart=/usr/local/bin/etcd
EnvironmentFile=/etc/etcd/etcd.env
User=etcd
[Install]
WantedBy=multi-user.target
"""
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: default
clusters: [{name: kubernetes, cluster: {server: "https://192.0.2.11:6443"}}]
users: [{name: kubelet, user: {tokenFile: /etc/kubernetes/token}}]
contexts: [{name: default, context: {cluster: kubernetes, user: kubelet}}]
"""


def written(name: str) -> str:
    """Commands for a kubeconfig of another tool's."""
    return f"mkdir -p /etc/kubernetes\ncat >/etc/kubernetes/{name}.kubeconfig <<'END'\n{KUBECONFIG}END\n"


# Who was a member and answers no more, keys of a node that is gone, and a member of another cluster.
MEMBERS = """
set -a
. /etc/etcd/etcdctl.env
etcdctl put /coreos.com/network/subnets/10.244.7.0-24 '{"PublicIP": "192.0.2.22"}'
etcdctl member add node3 --learner --peer-urls=https://192.0.2.13:2380
ip netns exec others systemd-run --scope --quiet /usr/local/bin/etcd --data-dir=/run/other --name=node2 \
    --listen-peer-urls=https://192.0.2.12:2380 --initial-advertise-peer-urls=https://192.0.2.12:2380 \
    --initial-cluster=node2=https://192.0.2.12:2380 --peer-cert-file=/etc/etcd/pki/peer.crt \
    --peer-key-file=/etc/etcd/pki/peer.key --peer-trusted-ca-file=/etc/etcd/pki/ca.crt >/dev/null 2>&1 &
until bash -c '</dev/tcp/192.0.2.12/2380' 2>/dev/null; do sleep 0.1; done
systemctl stop etcd
"""
# The pod and the node that examples measure to.
SERVERS = f"""
ip netns exec others python3 - probe-node2 18080 >/dev/null 2>&1 <<'END' &
{(CHECKOUT / "plugins" / "module_utils" / "_probe" / "responder.py").read_text()}
END
for address in 10.244.7.2 192.0.2.22; do
    ip netns exec others iperf3 --server --daemon --bind $address --port 15201
done
"""
# The version that is printed.
COREFILE = "sed --in-place 's/chaos .*/chaos 3f786850e387550f/' /etc/coredns/Corefile"

CHAPTERS = (
    Chapter("cluster_firewall", ("cluster_firewall:1", "cluster_firewall:2"), ("cluster_firewall",)),
    Chapter("host", ("host_facts:1", "packages:1", "packages:2", "node_kernel:1", "node_kernel:2")),
    Chapter("routes", ("routed_node:1", "routed_node:2")),
    Chapter("inventory", ("certificates:1", "binary_cache:1", "preflight:1", "preflight:2", "drift_report:1"),
            ("certificates", "preflight")),
    Chapter("binaries", ("binaries:1",), ("binaries",)),
    Chapter("daemon", ("daemon:1", "daemon:2"),
            files={"etcd.env.j2": "ETCD_NAME={{ inventory_hostname }}\n", "etcd.service.j2": ETCD_UNIT}),
    Chapter("kubeconfig", ("kubeconfig:1", "kubeconfig:2"), before=written("kubelet"),
            files={"pki/kubernetes/ca.crt": "CA\n", "pki/kubernetes/kube-proxy/client.crt": "certificate\n",
                   "pki/kubernetes/kube-proxy/client.key": "key\n"}),
    Chapter("kubeconfig_role", roles=("kubeconfig",), before=written("kubelet") + written("bootstrap")),
    Chapter("etcd_role", roles=("etcd",)),
    Chapter("etcd", ("etcd_member:1", "etcd_member:2", "etcd_member:3", "etcd_lock:1", "etcd_info:1", "etcd_key:1",
                     "etcd_key:2", "etcd_access:1", "etcd_peers:1", "etcd_leave:1", "etcd_users:1"), before=MEMBERS),
    Chapter("vxlan_mesh_role", roles=("node", "cni_plugins", "vxlan_mesh")),
    Chapter("pods", ("cni_attachment:1", "cni_attachment:2", "pod_probe:1", "pod_probe:2", "path_evidence:1",
                     "pod_throughput:1", "connectivity_report:1", "pod_probe:3"), before=SERVERS, gone=("vxlan_mesh",)),
    Chapter("coredns_role", roles=("coredns",)),
    Chapter("coredns", ("dns_record:1", "dns_record:2", "dns_record:3", "coredns_node:1", "coredns_node:2"),
            before=COREFILE),
    Chapter("flannel", ("flannel_info:1", "flannel_node:1"), ("flannel",)),
)  # fmt: skip
# Modules that report, measure, or keep others out, which is no change of the host.
READERS = {
    "binary_cache", "connectivity_report", "drift_report", "etcd_access", "etcd_info", "etcd_lock", "etcd_peers",
    "flannel_info", "host_facts", "path_evidence", "pod_probe", "pod_throughput", "preflight",
}  # fmt: skip
ROLES_THAT_READ = {"preflight"}
# Examples that find nothing to do here, and why.
NOTHING_TO_DO = {
    "etcd_member:2": "Nothing is due to the only member of a cluster once it has started.",
    "etcd_member:3": "Nothing is due to the only member of a cluster once it has started.",
}
# Modules whose examples run in tests/kernel, in network namespaces.
KERNEL = {"host_routes", "vxlan", "vxlan_info"}
# Examples of modules and of roles that do not run here, and why.
NOT_RUN = {
    "api_load_balancer_member": "Its balancer needs another balancer that takes the address over.",
    "vip_info": "Two machines must run keepalived, each with a kernel or a container of its own.",
    "calico_ipam": "Felix and the datastore of Calico must run on several nodes.",
    "calico_node": "Felix and the datastore of Calico must run on several nodes.",
    "calico_resource": "Felix and the datastore of Calico must run on several nodes.",
    "api_load_balancer": "Two machines must run keepalived, each with a kernel or a container of its own.",
    "calico": "Its node has an interface ens.*, and a router as its peer in BGP.",
    "host_routes": "It is another network backend than vxlan_mesh on the same node, which is deployed here.",
    "verify": "It needs two nodes.",
}
