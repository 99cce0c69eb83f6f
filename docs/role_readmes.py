"""Write the README of every role from its meta/argument_specs.yml.

usage: role_readmes.py [--check]

The specs are what Ansible validates and what ansible-doc shows, so there is one description of a
variable. With --check nothing is written; the READMEs that are not current are listed, and the exit
code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
ROLES = CHECKOUT / "roles"
COLLECTION = "binary_cluster.networking"
# Ansible's semantic markup (docs.ansible.com, "Ansible markup") -> Markdown.
CODE = re.compile(r"\b[COVE]\(((?:[^()\\]|\\.)*)\)")
LINK = re.compile(r"\bL\(([^,()]+),\s*([^()]+)\)")
MODULE = re.compile(r"\bM\(([^()]+)\)")


def markdown(text: str) -> str:
    """A sentence of the specs in Markdown."""
    text = CODE.sub(lambda found: f"`{found.group(1)}`", text)
    text = LINK.sub(r"[\1](\2)", text)
    return MODULE.sub(r"`\1`", text)


def sentences(description: str | Sequence[str]) -> list[str]:
    """A description as paragraphs in Markdown."""
    return [markdown(one) for one in ([description] if isinstance(description, str) else description)]


def value(data: Any) -> str:
    """A value as it is written in YAML, on one line."""
    text = yaml.safe_dump(data, default_flow_style=True, width=1000, allow_unicode=True, sort_keys=False)
    text = text.removesuffix("\n").removesuffix("\n...")
    # A template is a template with and without its quotes; without them it is easier to read.
    return " ".join(data.split()) if isinstance(data, str) and "{{" in data else text


def cell(text: str) -> str:
    """Text that does not end its cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def rows(options: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """A row of the table for each variable, and for each part of a structured one.

    ``defaults`` are the role's: specs are without those that are templates of variables which may be missing, since
    Ansible evaluates what is in the specs even where the variable is set.
    """
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        given = {**defaults, **({name: option["default"]} if "default" in option else {})}
        default = f"`{value(given[name])}`" if name in given else ""
        told = " ".join(sentences(option["description"]))
        if "choices" in option:
            told += f" One of {', '.join(f'`{value(choice)}`' for choice in option['choices'])}."
        if option.get("required"):
            told += " Required."
        yield f"| `{prefix}{name}` | {kind} | {cell(default)} | {cell(told)} |"
        parts = f"{prefix}{name}[]." if option["type"] == "list" else f"{prefix}{name}."
        yield from rows(option.get("options", {}), {}, parts)


def tags(tasks: Any, role: str) -> Iterator[str]:
    """Tags that bear a role's name, of its tasks and what they are made of."""
    if isinstance(tasks, list):
        for task in tasks:
            yield from tags(task, role)
    elif isinstance(tasks, dict):
        yield from (tag for tag in tasks.get("tags", ()) if tag.startswith(role))
        yield from (tag for part in tasks.values() for tag in tags(part, role))


def render(role: Path) -> str:
    """The README of a role."""
    spec = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    path = role / "defaults" / "main.yml"
    defaults = (yaml.safe_load(path.read_text()) if path.exists() else None) or {}
    files = sorted(role.glob("tasks/*.yml"), key=lambda path: path.stem != "main")
    found = dict.fromkeys(tag for path in files for tag in tags(yaml.safe_load(path.read_text()), role.name))
    parts = [
        "<!-- Written by `make docs` from meta/argument_specs.yml. -->",
        f"# {COLLECTION}.{role.name}",
        markdown(spec["short_description"]) + ".",
        *sentences(spec["description"]),
    ]
    if spec.get("options"):
        head = ["| variable | type | default | |", "|---|---|---|---|"]
        parts += ["## Variables", "\n".join([*head, *rows(spec["options"], defaults)])]
    parts += ["## Example", f"```yaml\n{spec['examples'].strip()}\n```"]
    if found:
        parts += ["## Tags", ", ".join(f"`{tag}`" for tag in found)]
    if (role / "tasks" / "uninstall.yml").exists():
        parts += ["## Uninstalling", "`tasks_from: uninstall.yml` leaves the host as it was before the role."]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="only list the READMEs that are not current")
    check = parser.parse_args().check
    outdated = []
    for role in sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml")):
        readme, text = role / "README.md", render(role)
        if not readme.exists() or readme.read_text() != text:
            outdated.append(str(readme.relative_to(CHECKOUT)))
            if not check:
                readme.write_text(text)
    print("\n".join(f"{'not current' if check else 'written'}: {name}" for name in outdated) or "all are current")
    sys.exit(bool(check and outdated))


if __name__ == "__main__":
    main()
