"""Examples in orders in which they make sense, and what they find on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

from testing.printed import CHECKOUT


@dataclass(frozen=True)
class Chapter:
    """Examples that run one after the other: first those of roles, then those of modules."""

    name: str
    # The places of modules' examples, as of_modules() has them.
    modules: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    # Commands on the host before all of them.
    before: str = ""
    # Commands on the host after all of them, each of which succeeds.
    after: str = ""
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
# The example of etcd_users leaves one user alone; these are the commands that role calico then asks for. And the router
# that nodes tell of their pods, which is no part of the cluster.
ROUTER = """
(
set -a
. /etc/etcd/etcdctl.env
if ! etcdctl user get calico; then
    etcdctl user add calico --no-password
    etcdctl role add calico
    etcdctl role grant-permission --prefix=true calico readwrite /calico/
    etcdctl user grant-role calico calico
fi
)
for package in /var/cache/apt/archives/bird2_* /var/cache/apt/archives/libssh*; do
    dpkg-deb --extract $package /opt/router
done
cat >/opt/router/bird.conf <<'END'
router id 192.0.2.1;
protocol device { }
protocol bgp node1 {
  local 192.0.2.1 as 64513;
  neighbor 192.0.2.11 as 64512;
  ipv4 { import all; export none; };
}
END
LD_LIBRARY_PATH=$(echo /opt/router/usr/lib/*-linux-gnu) ip netns exec others \
    /opt/router/usr/sbin/bird -c /opt/router/bird.conf -s /run/router.ctl
"""
# A node that is in the inventory no more, with an address of a pod.
LOST = """
calicoctl create --filename=- <<'END'
{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: node2}}
END
python3 - >/run/lost.json <<'END'
import json
network = json.load(open("/etc/cni/net.d/10-calico.conflist"))
print(json.dumps({**network["plugins"][0], "nodename": "node2", "name": "calico", "cniVersion": "1.0.0"}))
END
CNI_COMMAND=ADD CNI_CONTAINERID=lost CNI_NETNS=/run/lost CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
    /opt/cni/bin/calico-ipam </run/lost.json
"""

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
    Chapter("host_routes", roles=("host_routes",), gone=("host_routes",)),
    Chapter("flannel", ("flannel_info:1", "flannel_node:1"), ("flannel",), gone=("flannel",)),
    Chapter("calico_role", roles=("calico",), before=ROUTER,
            after="birdc -s /run/calico/bird.ctl show protocols Peer_192_0_2_1 | grep Established"),
    Chapter("calico", ("calico_ipam:1", "calico_resource:1", "calico_resource:2", "calico_node:1", "cni_attachment:1",
                       "cni_attachment:2", "calico_resource:3"), before=LOST),
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
# Where the examples of other modules and roles run, which need namespaces alone, a second balancer or further nodes.
KERNEL = "tests/kernel/test_examples.py"
BALANCERS = "molecule/api_load_balancer/examples/test_examples.py"
NODES = "molecule/host_routes/tests/test_examples.py"
MODULES_ELSEWHERE = {
    "api_load_balancer_member": BALANCERS, "vip_info": BALANCERS,
    "host_routes": KERNEL, "vxlan": KERNEL, "vxlan_info": KERNEL,
}  # fmt: skip
ROLES_ELSEWHERE = {"api_load_balancer": BALANCERS, "verify": NODES}
