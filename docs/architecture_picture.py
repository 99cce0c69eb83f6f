"""Draw docs/architecture.svg from what playbooks, roles and network backends declare.

usage: architecture_picture.py [--check]

With --check nothing is written, and the exit code is 1 where the picture is not current.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from textwrap import wrap

from ansible.plugins.loader import init_plugin_loader

CHECKOUT = Path(__file__).resolve().parents[1]
init_plugin_loader([str(CHECKOUT / ".ansible" / "collections")])
PICTURE = CHECKOUT / "docs" / "architecture.svg"
WIDTH, MARGIN, GAP, LINE = 960, 24, 8, 18
# Room of a letter at the size of the text, wide enough for any font that stands in for the first.
LETTER = 7.4
STYLE = """\
text { font: 12px "DejaVu Sans", Verdana, sans-serif; fill: #1b1f24 }
.title { font-weight: bold } .note { fill: #57606a }
.layer { fill: #f6f8fa; stroke: #8c959f } .box { fill: #ffffff; stroke: #8c959f }
.backend { fill: #ddf4ff; stroke: #0969da } .arrow { stroke: #57606a; marker-end: url(#end) }
"""


def playbooks() -> list[str]:
    """Names of the playbooks, without those of the lab."""
    return sorted(path.stem for path in (CHECKOUT / "playbooks").glob("*.yml") if not path.stem.startswith("lab_"))


def roles(backends: Iterable[str]) -> list[str]:
    """Names of the roles that are no network backends."""
    return sorted(path.name for path in (CHECKOUT / "roles").iterdir() if path.is_dir() and path.name not in backends)


def packages(kind: str) -> list[str]:
    """Packages of what plugins share."""
    return sorted(path.name for path in (CHECKOUT / "plugins" / kind).glob("_*") if path.name != "__pycache__")


def backend_lines() -> dict[str, list[str]]:
    """What is said of each network backend below its name."""
    from ansible_collections.binary_cluster.networking.plugins.plugin_utils._backends.contract import declared

    found = {}
    for name, backend in declared().items():
        ports = [f"{port.protocol} {port.default}" for port in backend.ports]
        lines = [*backend.binaries, f"ports: {', '.join(ports) or 'none'}"]
        found[name] = [
            *lines,
            f"etcd: {'yes' if backend.etcd_endpoints else 'no'}",
            f"links: {backend.links.replace('|', ', ') or 'none'}",
        ]
    return found


class Picture:
    """Parts of a drawing that grows downwards."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = MARGIN

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        kind = f' class="{kind}"' if kind else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}"{kind}>{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
        self.parts.append(f'<rect {place} rx="4" class="{kind}"/>')

    def row(self, names: Sequence[str]) -> None:
        """Boxes with a name each, in as many lines as they need."""
        x = float(MARGIN + GAP)
        for name in names:
            width = len(name) * LETTER + 2 * GAP
            if x + width > WIDTH - MARGIN - GAP:
                x, self.y = MARGIN + GAP, self.y + LINE + 2 * GAP
            self.box(x, self.y, width, LINE + GAP, "box")
            self.text(x + GAP, self.y + LINE - 1, name)
            x += width + GAP
        self.y += LINE + 2 * GAP

    def columns(self, boxes: dict[str, list[str]]) -> None:
        """Boxes of the same width beside each other, with lines below their names."""
        width = (WIDTH - 2 * MARGIN - GAP) / len(boxes) - GAP
        letters = int((width - 2 * GAP) / LETTER)
        boxes = {name: [part for line in lines for part in wrap(line, letters)] for name, lines in boxes.items()}
        height = (max(map(len, boxes.values())) + 1) * LINE + GAP
        for number, (name, lines) in enumerate(boxes.items()):
            x = MARGIN + GAP + number * (width + GAP)
            self.box(x, self.y, width, height, "backend")
            self.text(x + GAP, self.y + LINE, name, "title")
            for place, line in enumerate(lines, 2):
                self.text(x + GAP, self.y + place * LINE, line)
        self.y += int(height) + GAP

    def layer(self, title: str, note: str, *rows: Sequence[str] | dict[str, list[str]]) -> None:
        """A frame around rows, behind them."""
        place, top = len(self.parts), self.y
        self.text(MARGIN + GAP, top + LINE, title, "title")
        self.text(MARGIN + GAP + (len(title) + 2) * LETTER * 1.15, top + LINE, note, "note")
        self.y += LINE + 2 * GAP
        for row in rows:
            self.columns(row) if isinstance(row, dict) else self.row(row)
        self.box(MARGIN, top, WIDTH - 2 * MARGIN, self.y - top, "layer")
        self.parts.insert(place, self.parts.pop())

    def arrow(self, words: str) -> None:
        """An arrow down to the next layer."""
        self.parts.append(f'<line x1="60" y1="{self.y + 2}" x2="60" y2="{self.y + 26}" class="arrow"/>')
        self.text(76, self.y + 19, words, "note")
        self.y += 32


def picture() -> str:
    """The drawing as SVG."""
    backends, drawn = backend_lines(), Picture()
    drawn.layer("playbooks", "order and safety: who first, how many at once, when to stop", playbooks())
    drawn.arrow("include roles; the network backend by its name, from lookup network_backends")
    drawn.layer("roles", "one component each; the network backends are below", roles(backends), backends)
    drawn.arrow("call modules with typed options; actions run on the controller")
    drawn.layer("plugin_utils", "on the controller: checks, causes, reports", packages("plugin_utils"))
    drawn.arrow("facts of hosts go up, tasks go down")
    drawn.layer("module_utils", "on hosts: desired state, plan, apply", packages("module_utils"))
    drawn.arrow("iproute2, nft, systemctl, and the protocols of the daemons")
    kernel = ["links", "routes", "neighbours", "FDB", "nftables", "sysctl", "systemd units", "etcd", "CNI plugins"]
    drawn.layer("kernel and daemons", "of each host", kernel)
    height = drawn.y + MARGIN
    title = "Layers of binary_cluster.networking, from playbooks to the kernel"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
    end = '<marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    marker = f'<defs>{end}<path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>'
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", marker, ground, *drawn.parts, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where the picture is not current")
    check, drawn = parser.parse_args().check, picture()
    if check and (not PICTURE.is_file() or PICTURE.read_text() != drawn):
        print(f"{PICTURE.relative_to(CHECKOUT)} is not current; run `make docs`")
        return 1
    if not check:
        PICTURE.write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
