"""Text of the report's page has room, whatever nodes are called and however wide the screen is."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import html as report_html

from tests.browser import reports
from tests.browser.chromium import CHECKOUT, Browser, Page

TEMPLATE = CHECKOUT / "roles" / "verify" / "files" / "connectivity.html"
WIDTHS = (360, 768, 1280)
# Few nodes are drawn as boxes, at most six of them, more as a circle.
PAGES = [
    *itertools.product((3, 30), reports.NAMES),
    *itertools.product((6,), ("domains", "label")),
    *itertools.product((10,), ("domain", "domains", "ipv4")),
]
# The longest word of other names is longer than a line.
OF_WORDS = ("domain", "domains", "ipv4")
# Where somebody wants to look at the pages too, as PNG files.
SCREENSHOTS = os.environ.get("SCREENSHOTS")
# Text that leaves its element or, outside of what scrolls, the page; by the boxes of its lines.
OUTSIDE = """
[...document.querySelectorAll("body *")].flatMap(element => {
  if (element.closest(".unseen, script, noscript, select, svg")) return [];
  const box = element.getBoundingClientRect();
  const scrolls = element.closest(".scroll");
  return [...element.childNodes].filter(node => node.nodeType === Node.TEXT_NODE && node.data.trim()).flatMap(node => {
    const range = document.createRange();
    range.selectNodeContents(node);
    return [...range.getClientRects()].filter(line => line.width).filter(line =>
      line.left < box.left - 1 || line.right > box.right + 1 || line.top < box.top - 4 || line.bottom > box.bottom + 4
      || !scrolls && (line.left < 0 || line.right > innerWidth)
    ).map(() => `${element.tagName}.${element.className}: ${node.data}`);
  });
})
"""
# Lines of text in the drawing that leave the box of their node, or the drawing.
OUTSIDE_BOX = """
[...document.querySelectorAll("#topology text")].filter(text => {
  const frame = text.closest("g").querySelector("rect") || text.closest("svg");
  const [line, box] = [text.getBoundingClientRect(), frame.getBoundingClientRect()];
  return line.left < box.left || line.right > box.right || line.top < box.top || line.bottom > box.bottom;
}).map(text => text.textContent)
"""
# Boxes of nodes that lie on one another.
OVERLAPS = """
(boxes => boxes.flatMap((one, index) => boxes.slice(index + 1).filter(other =>
  one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom)))
([...document.querySelectorAll("#topology .node rect")].map(rect => rect.getBoundingClientRect()))
"""
# How many lines the text of each button of the filter has.
BUTTON_LINES = """
[...document.querySelectorAll(".segments label")].map(label => {
  const range = document.createRange();
  range.selectNodeContents(label.lastChild);
  return new Set([...range.getClientRects()].map(line => Math.round(line.top))).size;
}).filter(lines => lines > 1)
"""
# How much of the matrix its own names take while it is scrolled.
NAMES_SHARE = """
document.querySelector("#matrix tbody th").getBoundingClientRect().width / document.querySelector("#matrix").clientWidth
"""
# A piece of a name that ends in the middle of a word.
BROKEN_WORDS = """
[...document.querySelectorAll("#matrix .name")].flatMap(name => [...name.childNodes].filter(node => {
  if (node.nodeType !== Node.TEXT_NODE) return false;
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getClientRects().length > 1;
}).map(node => node.data))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    directory: Path = tmp_path_factory.mktemp("pages")
    directory.chmod(0o755)
    template = TEMPLATE.read_text()
    for size, kind in PAGES:
        report = reports.broken(size)
        # What further tables a report may have, and all protocols there are.
        named = reports.named(size)
        report["pairs"] += [pair for pair in named["pairs"] if pair["protocol"] in ("dns", "dns-tcp", "outside")]
        report["pairs"] += [
            {**pair, "protocol": protocol}
            for pair in report["pairs"]
            if pair["protocol"] == "tcp" and pair["source"] == "node1"
            for protocol in ("bulk", "node", "host")
        ]
        report["throughput"] = named["throughput"]
        page = report_html.page(template, reports.renamed(reports.finished(report), kind))
        (directory / f"{kind}{size}.html").write_text(page)
    found = Browser(directory)
    yield found
    found.close()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("size", "kind"), PAGES)
def test_text_stays_within_its_box_and_the_page(browser: Browser, size: int, kind: str, width: int) -> None:
    page = Page(browser, f"{kind}{size}.html", width=width)
    look(page, f"{kind}{size}-{width}")
    fits(page, kind)
    cell = ".cell" + "".join(
        f"[data-{end}={json.dumps(reports.NAMES[kind](number))}]" for end, number in (("source", 1), ("target", 2))
    )
    page.click(cell)
    look(page, f"{kind}{size}-{width}-pair")
    fits(page, kind)
    page.press("Escape")
    page.ask("(s => { s.selectedIndex = 2; s.dispatchEvent(new Event('change')) })(document.querySelector('#node'))")
    look(page, f"{kind}{size}-{width}-node")
    fits(page, kind)
    assert page.errors() == []


def fits(page: Page, kind: str) -> None:
    """Check that no text overflows its box or the page, and that names break between words only."""
    scrolled, seen = page.ask("(root => [root.scrollWidth, root.clientWidth])(document.documentElement)")
    assert scrolled == seen
    for fault in (OUTSIDE, OUTSIDE_BOX, OVERLAPS, BUTTON_LINES):
        assert page.ask(fault) == []
    if kind in OF_WORDS:
        assert page.ask(BROKEN_WORDS) == []
    assert page.ask(NAMES_SHARE) < 0.5, "there is room for the cells"


def test_the_domain_that_names_share_is_told_once(browser: Browser) -> None:
    page = Page(browser, "domain30.html", width=360)
    assert "cluster-a.example.internal" in page.text("#facts")
    heads = page.ask("[...document.querySelectorAll('#matrix thead th')].map(th => th.textContent)")
    assert heads == [f"worker-{number}" for number in range(1, 31)]
    assert page.ask("document.querySelector('#matrix tbody th').title") == "worker-1.cluster-a.example.internal"
    assert "domain" not in Page(browser, "ipv43.html").text("#facts")


def look(page: Page, name: str) -> None:
    """Keep a screenshot where one is wanted."""
    if SCREENSHOTS:
        page.screenshot(Path(SCREENSHOTS) / f"{name}.png")
