"""The collection is imported as Ansible imports it, so that its filters are found wherever a template is rendered."""

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

init_plugin_loader([str(Path(__file__).resolve().parents[2] / ".ansible" / "collections")])
