"""A fact cache hands facts of earlier runs to later ones; the roles take those of their own run alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.binary_cluster.networking.plugins.filter.pod_cidrs import pod_cidrs
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._run import facts as run_facts

from tests.unit.ansible_runs import run_playbook

CHECKOUT = Path(__file__).resolve().parents[2]
# `here` gets facts as a role does; what templates read of `away`, which no run comes to, is shown.
PLAY = [
    {
        "hosts": "here",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Collect",
                "binary_cluster.networking.host_facts": {},
                "when": "ansible_facts | binary_cluster.networking.collected_facts | length == 0",
            },
            {"name": "Once more", "ansible.builtin.include_role": {"name": "binary_cluster.networking.binaries"}},
            {
                "name": "Show",
                "ansible.builtin.debug": {
                    "msg": "architecture {{ ansible_facts.cluster_host.architecture }}, members {{ ['here', 'away']"
                    " | binary_cluster.networking.member_addresses(hostvars) }}"
                },
            },
        ],
    }
]


def test_a_second_run_collects_facts_again(tmp_path: Path) -> None:
    hosts = {
        "here": {"ansible_connection": "local", "ansible_host": "192.0.2.1"},
        "away": {"ansible_host": "192.0.2.2"},
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "play.yml").write_text(json.dumps(PLAY))
    cache = {
        "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(tmp_path / "cache"),
    }

    def run() -> str:
        done = run_playbook(tmp_path, "-i", "hosts.json", "play.yml", environment=cache)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run()
    (cached,) = (tmp_path / "cache").glob("*here")
    stale = cached.read_text()
    facts: dict[str, Any] = _find(json.loads(stale))
    stale = stale.replace(facts["architecture"], "another")
    assert "another" in stale
    cached.write_text(stale)
    cached.with_name(cached.name.replace("here", "away")).write_text(stale)
    told = run()
    assert "architecture another" not in told
    assert "'192.0.2.1', '192.0.2.2'" in told
    # Collected once, not by the role again.
    assert told.count("ok: [here]") + told.count("changed: [here]") >= 2
    assert "TASK [binary_cluster.networking.binaries : Collect host facts]" in told
    after = told.partition("binaries : Collect host facts]")[2].partition("TASK [")[0]
    assert "skipping: [here]" in after


def _find(cache: Any) -> dict[str, Any]:
    """The facts in a cache, whatever the form of its file."""
    payload = cache.get("__payload__", cache)
    return dict((json.loads(payload) if isinstance(payload, str) else payload)["cluster_host"])


def test_nothing_else_of_the_collection_is_kept_in_a_cache() -> None:
    files = [*CHECKOUT.glob("roles/*/tasks/*.yml"), *CHECKOUT.glob("playbooks/*.yml")]
    assert [path.name for path in files if "cacheable" in path.read_text()] == []
    modules = [*CHECKOUT.glob("plugins/modules/*.py"), *CHECKOUT.glob("plugins/action/*.py")]
    assert {path.stem for path in modules if "ansible_facts=" in path.read_text()} == {"host_facts"}


def test_facts_of_an_earlier_run_count_as_none() -> None:
    facts = {"pod_cidr": "10.244.7.0/24", "pod_cidrs": {}}
    earlier = {"n1": {"ansible_host": "192.0.2.1", "ansible_facts": {"cluster_host": {**facts, "run": "/tmp/earlier"}}}}
    own = {
        "n1": {"ansible_host": "192.0.2.1", "ansible_facts": {"cluster_host": {**facts, "run": run_facts.this_run()}}}
    }
    assert run_facts.collected(earlier["n1"]) == {}
    assert pod_cidrs(["n1"], own, "10.244.0.0/16", 24)[0]["pod_cidr"] == "10.244.7.0/24"
