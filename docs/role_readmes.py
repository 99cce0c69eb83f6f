"""Write the README and the meta/main.yml of every role from its meta/argument_specs.yml, and docs/variables.md.

usage: role_readmes.py [--check]

The specs are what Ansible validates and what ansible-doc shows, so there is one description of a
variable. docs/variables.md has the variables of the cluster, with the checks of preflight, and what each
role declares. With --check nothing is written; the files that are not current are
listed, and the exit code is 1 where there is one.
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
# Plugins are found by their full names, as Ansible finds them.
sys.path.insert(0, str(CHECKOUT / ".ansible" / "collections"))
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


def metadata(role: Path) -> str:
    """The meta/main.yml of a role, by which Galaxy and linters know it. Author and license are the collection's."""
    spec = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]
    collection = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    content = {
        "galaxy_info": {
            "author": ", ".join(collection["authors"]),
            "description": CODE.sub(r"\1", spec["short_description"]),
            "license": ", ".join(collection["license"]),
            "standalone": False,
        },
        "dependencies": [],
    }
    head = "---\n# Written by `make docs` from meta/argument_specs.yml and galaxy.yml.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=160)


def cluster_rows() -> Iterator[str]:
    """A row for each variable of the cluster: type, default, meaning, check, and the roles that read it."""
    from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations
    from ansible_collections.binary_cluster.networking.plugins.plugin_utils._preflight import cluster, variables

    yield "| variable | type | default | | must be | the same on all | read by |\n|---|---|---|---|---|---|---|"
    specs = yaml.safe_load((ROLES / "preflight" / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    for row, name in zip(rows(options, {}), options, strict=True):
        rule = cluster.RULES.get(name)
        groups = [group for group, names in variables.WHOLE_CLUSTER.items() if name in names]
        roles = [f"`{one.name}`" for one in declarations.declared().values() if name in one.reads]
        parts = [rule.meaning if rule else "", ", ".join(f"`{group}`" for group in groups), ", ".join(sorted(roles))]
        yield f"{row} {' | '.join(map(cell, parts))} |"


def component_rows() -> Iterator[str]:
    """A row for each role that declares itself: group, binaries, packages, and ports with their defaults."""
    from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends import contract
    from ansible_collections.binary_cluster.networking.plugins.plugin_utils._components import declarations

    yield "| role | group | binaries | packages | ports | the same on all its hosts |\n|---|---|---|---|---|---|"
    for one in declarations.declared().values():
        ports = [f"`{port.variable}` ({port.protocol} {one.port_default(port)})" for port in one.ports]
        if backend := contract.declared().get(one.name):
            ports += [f"`{port.variable}` ({port.protocol} {port.default})" for port in backend.ports]
        packages = [each.name + (f" (by `{each.where.variable}`)" if each.where else "") for each in one.packages]
        parts = [
            ", ".join(part) for part in (one.binaries, packages, ports, (f"`{name}`" for name in one.cluster_wide))
        ]
        group = f"`{one.group}`" if one.group else ""
        yield f"| [{one.name}](../roles/{one.name}/README.md) | {group} | {' | '.join(map(cell, parts))} |"


def variables_document() -> str:
    """docs/variables.md."""
    return (
        "\n\n".join(
            [
                "<!-- Written by `make docs` from what roles and network backends declare. -->",
                "# Variables",
                "Variables of a role begin with its name, and are in its README.",
                "## Variables of the cluster",
                "Set them for all hosts. Most are read by more than one role; one that is used alone checks them too.",
                "\n".join(cluster_rows()),
                "## Roles",
                "What each role runs on, needs and listens on. Protocol `pod` is for ports in the pods' namespaces.",
                "\n".join(component_rows()),
            ]
        )
        + "\n"
    )


def documents() -> Iterator[tuple[Path, str]]:
    """Every file that is written, with its text."""
    for role in sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml")):
        yield role / "README.md", render(role)
        yield role / "meta" / "main.yml", metadata(role)
    yield CHECKOUT / "docs" / "variables.md", variables_document()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="only list the files that are not current")
    check = parser.parse_args().check
    outdated = []
    for path, text in documents():
        if not path.exists() or path.read_text() != text:
            outdated.append(str(path.relative_to(CHECKOUT)))
            if not check:
                path.write_text(text)
    print("\n".join(f"{'not current' if check else 'written'}: {name}" for name in outdated) or "all are current")
    sys.exit(bool(check and outdated))


if __name__ == "__main__":
    main()
