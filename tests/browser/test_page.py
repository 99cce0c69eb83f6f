"""The report's page as a reader meets it: in a browser, by mouse, keyboard and screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.binary_cluster.networking.plugins.plugin_utils._report import html as report_html

from tests.browser import reports
from tests.browser.chromium import CHECKOUT, Browser, Page

TEMPLATE = CHECKOUT / "roles" / "verify" / "files" / "connectivity.html"
BLOCKED = ".cell[data-source=node1][data-target=node2]"
# Luminance and contrast: WCAG 2.2, 1.4.3. A canvas turns any notation of a colour into bytes.
CONTRASTS = """
[...document.querySelectorAll(".cell, .link, .quiet, .grid th, .measures td")].map(element => {
  const pen = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const luminance = () => {
    const light = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map(byte => byte / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  };
  const under = [];
  for (let one = element; one; one = one.parentElement) under.unshift(getComputedStyle(one).backgroundColor);
  const paint = colour => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); };
  under.forEach(paint);
  const back = luminance();
  paint(getComputedStyle(element).color);
  const [dark, light] = [back, luminance()].sort((one, other) => one - other);
  return [(light + 0.05) / (dark + 0.05), element.outerHTML.slice(0, 120)];
}).filter(([contrast]) => contrast < 4.5)
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    directory: Path = tmp_path_factory.mktemp("pages")
    directory.chmod(0o755)
    template = TEMPLATE.read_text()
    made = {"whole3": reports.whole(3), "whole1": reports.whole(1), "whole30": reports.whole(30)}
    made |= {"broken3": reports.broken(3), "broken30": reports.broken(30), "named3": reports.named(3)}
    made |= {"halved3": reports.halved(3)}
    for name, report in made.items():
        (directory / f"{name}.html").write_text(report_html.page(template, report))
    found = Browser(directory)
    yield found
    found.close()


@pytest.mark.parametrize("name", ["whole1", "whole3", "broken3", "whole30", "broken30", "named3", "halved3"])
def test_a_page_loads_without_a_complaint_and_asks_for_nothing_but_itself(browser: Browser, name: str) -> None:
    page = Page(browser, f"{name}.html")
    assert page.text("h1")
    assert page.errors() == []
    assert page.requests() == [f"file:///pages/{name}.html"]


def test_what_a_node_said_is_text_and_never_markup(browser: Browser) -> None:
    page = Page(browser, "broken3.html")
    assert reports.HOSTILE in page.text("#notes")
    assert "taken" not in page.ask("document.title")
    assert page.count("img") == 0


@pytest.mark.parametrize("size", [3, 30])
def test_every_ordered_pair_has_a_cell_and_a_link_of_the_drawing(browser: Browser, size: int) -> None:
    page = Page(browser, f"broken{size}.html")
    assert page.count(".cell") == size * size, "and one for each node and itself"
    assert page.count("#topology .edge") == size * (size - 1)
    assert page.count("#topology .node") == size
    assert "flannel" in page.text("#topology .backend text")


def test_cells_show_the_state_of_their_pair_and_not_by_colour_alone(browser: Browser) -> None:
    expected = {
        ("node1", "node2"): ("failed", "down", "X"),
        ("node1", "node3"): ("mtu", "mtu", "M"),
        ("node2", "node3"): ("flaky", "flaky ", "~"),
        ("node3", "node1"): ("slow", "slow 180 ms", "s"),
        ("node3", "node2"): ("failed", "http", "X"),
        ("node2", "node1"): ("ok", " ms", ""),
        ("node1", "node1"): ("ok", " ms", ""),
        ("node2", "node2"): ("failed", "own", "X"),
    }
    for name, column in (("broken3.html", 1), ("broken30.html", 2)):
        page = Page(browser, name)
        for (source, target), told in expected.items():
            cell = f".cell[data-source={source}][data-target={target}]"
            assert page.ask(f"document.querySelector('{cell}').dataset.state") == told[0]
            assert told[column] in page.text(cell)


def test_names_and_addresses_have_a_table_of_their_own_and_are_no_pairs(browser: Browser) -> None:
    page = Page(browser, "named3.html")
    assert page.text("h1").strip() == "All 6 pairs are whole, 1 probe beyond the pods failed"
    assert page.count("#names tbody tr") == 3 and page.count("#names tbody td") == 9
    assert "leaves as 192.0.2.11" in page.text("#names tbody tr:nth-child(1)")
    assert page.count("#names [data-state=failed]") == 1
    assert "dns: no answer from 10.0.0.2" in page.text("#names tbody tr:nth-child(2)")
    assert page.count("#protocols input[value=dns]") == 0
    assert page.count("#protocols input[value=outside]") == 0
    assert "Beyond" not in Page(browser, "whole3.html").text("main")


def test_what_the_network_costs_has_a_table_where_it_was_measured(browser: Browser) -> None:
    page = Page(browser, "named3.html")
    told = [part.strip() for part in page.text("#throughput tbody tr").split("\t")]
    assert told == ["node1 → node2", "600 Mbit/s", "800 Mbit/s", "75 %", "0.25 ms", "unanswered"]
    widths = "[...document.querySelectorAll('#throughput .bar')].map(bar => bar.getBoundingClientRect().width)"
    slower, faster = page.ask(widths)
    assert 0 < slower < faster
    assert "Throughput" not in Page(browser, "whole3.html").text("main")


def test_the_head_and_the_legend_count_pairs(browser: Browser) -> None:
    page = Page(browser, "broken30.html")
    assert page.text("h1").strip() == "3 of 870 pairs not whole, 1 node not whole within"
    assert page.text("#legend li[data-state=ok]").split()[-1] == "865"
    assert page.text("#legend li[data-state=failed]").split()[-1] == "2"
    assert Page(browser, "whole3.html").text("h1").strip() == "All 6 pairs are whole"


@pytest.mark.parametrize("name", ["broken3.html", "broken30.html"])
def test_a_click_on_a_pair_opens_its_path_measures_cause_and_fix(browser: Browser, name: str) -> None:
    page = Page(browser, name)
    assert "Choose a pair" in page.text("#details")
    page.click(BLOCKED)
    told = page.text("#details")
    assert told.startswith("node1 → node2")
    for part in ("10.244.1.2", "192.0.2.11", "flannel", "192.0.2.12 · the cause is here", "10.244.2.2"):
        assert part in told
    assert reports.BLOCKED.text in told and reports.BLOCKED.fix in told
    assert page.count("#details .measures tbody tr") == len(reports.PROTOCOLS)
    assert "before: " in told, "what it was in the report it is compared with"
    page.click("#details .close")
    assert "Choose a pair" in page.text("#details")


def test_a_click_on_a_node_and_itself_opens_what_goes_on_within(browser: Browser) -> None:
    page = Page(browser, "broken3.html")
    page.click(".cell[data-source=node2][data-target=node2]")
    told = page.text("#details")
    assert told.startswith("within node2") and "no answer" in told
    assert "between the nodes" not in told and "the way back" not in told
    assert page.count("#details .measures tbody tr") == len(reports.WITHIN)


def test_a_click_on_a_link_of_the_drawing_opens_its_pair(browser: Browser) -> None:
    page = Page(browser, "broken3.html")
    page.click("#topology .hit[data-source=node1][data-target=node3]")
    assert page.text("#details h2") == "node1 → node3"


def test_the_keyboard_reaches_opens_and_leaves_every_pair(browser: Browser) -> None:
    page = Page(browser, "broken3.html")
    focused = "document.activeElement.getAttribute('aria-label')"
    for _step in range(40):
        page.press("Tab")
        if page.ask("document.activeElement.className") == "cell":
            break
    assert page.ask(focused).startswith("node1 to itself: ok")
    page.press("ArrowRight")
    assert page.ask(focused).startswith("node1 to node2: failed")
    page.press("ArrowRight")
    assert page.ask(focused).startswith("node1 to node3")
    page.press("ArrowDown")
    assert page.ask(focused).startswith("node2 to node3")
    page.press("ArrowLeft", "ArrowLeft")
    assert page.ask(focused).startswith("node2 to node1")
    page.press("End", "Enter")
    assert page.text("#details h2") == "node2 → node3"
    assert page.ask("document.activeElement.id") == "pair-title", "a screen reader reads on from there"
    page.press("Escape")
    assert "Choose a pair" in page.text("#details")
    assert page.ask(focused).startswith("node2 to node3")


def test_one_cell_of_900_is_in_the_tab_order(browser: Browser) -> None:
    assert Page(browser, "broken30.html").count('.cell[tabindex="0"]') == 1


def test_the_protocol_filter_shows_that_protocol_alone(browser: Browser) -> None:
    page = Page(browser, "broken3.html")
    page.click("#protocols input[value=mtu]")
    assert page.text(BLOCKED) == "failed"
    assert page.text(".cell[data-source=node1][data-target=node3]") == "1400 bytes"
    assert page.ask("document.querySelector('.cell[data-source=node3][data-target=node1]').dataset.state") == "ok"
    assert page.text("#legend li[data-state=failed]").split()[-1] == "1"
    page.ask("document.querySelector('#protocols input[value=mtu]').focus()")
    page.press("ArrowLeft")
    assert page.text(".cell[data-source=node3][data-target=node2]") == "failed", "http, by an arrow key"


def test_the_filter_of_ip_versions_is_there_where_pods_have_both(browser: Browser) -> None:
    assert Page(browser, "whole3.html").ask("document.querySelector('#families').closest('fieldset').hidden") is True
    page = Page(browser, "halved3.html")
    broken, lacking = ".cell[data-source=node1][data-target=node2]", ".cell[data-source=node2][data-target=node1]"
    assert (page.text(broken), page.text(lacking)) == ("IPv6", "udp6")
    page.click("#families input[value='4']")
    assert page.text("#legend li[data-state=failed]").split()[-1] == "0"
    page.click("#families input[value='6']")
    assert (page.text(broken), page.text(lacking)) == ("down", "udp6")
    page.click("#protocols input[value=icmp]")
    assert page.text("#legend li[data-state=failed]").split()[-1] == "1"


def test_the_details_of_a_pair_show_both_ip_versions(browser: Browser) -> None:
    page = Page(browser, "halved3.html")
    page.click(".cell[data-source=node1][data-target=node2]")
    rows = page.ask("[...document.querySelectorAll('#details tbody th')].map(th => th.textContent)")
    assert rows == [*reports.PROTOCOLS, *(f"{protocol}6" for protocol in reports.PROTOCOLS)]
    assert "10.244.1.2, fd00:10:244:1::2" in page.text("#details .path")
    assert "icmp6 tcp6 udp6 http6 mtu6" in page.text("#details")


def test_the_node_filter_shows_the_pairs_of_that_node_alone(browser: Browser) -> None:
    page = Page(browser, "broken30.html")
    choose = "(s => { s.value = 'node2'; s.dispatchEvent(new Event('change')) })(document.querySelector('#node'))"
    page.ask(choose)
    assert page.count(".cell") == 2 * 29 + 1
    assert page.count(".cell[data-source=node2]") == page.count(".cell[data-target=node2]") == 30
    assert page.text(BLOCKED) == "down", "there is room for words now"
    assert page.text("#said") == "58 pairs shown, 2 not whole"
    page.click("#topology .node[aria-pressed=true]")
    assert page.count(".cell") == 900


def test_causes_and_changes_are_listed_with_the_way_to_their_pairs(browser: Browser) -> None:
    page = Page(browser, "broken30.html")
    notes = page.text("#notes")
    assert reports.BLOCKED.fix in notes and "on node2" in notes
    assert "worse: 6 pairs" in notes
    assert "node1 → node3: mtu 1450 bytes → 1400 bytes" in notes
    page.click("#notes .changed .link")
    assert page.text("#details h2") == "node1 → node2"
    assert Page(browser, "whole3.html").count("#notes > *") == 0


@pytest.mark.parametrize("name", ["broken3.html", "broken30.html", "whole1.html"])
def test_a_phone_scrolls_down_and_never_sideways(browser: Browser, name: str) -> None:
    page = Page(browser, name, width=390, height=844)
    assert page.ask("document.documentElement.scrollWidth") == 390
    if page.count(BLOCKED):
        page.click(BLOCKED)
        assert page.ask("document.documentElement.scrollWidth") == 390
        box = "document.querySelector('#details').getBoundingClientRect()"
        assert page.ask(f"[{box}.bottom, {box}.left, {box}.right]") == [844, 0, 390], "a sheet at the lower edge"


def test_names_of_rows_stay_in_sight_while_the_matrix_is_scrolled(browser: Browser) -> None:
    page = Page(browser, "broken30.html", width=390, height=844)
    page.ask("document.querySelector('#matrix').scrollLeft = 400")
    left = "document.querySelector('.grid tbody th').getBoundingClientRect().left"
    assert 0 <= page.ask(left) < 60


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["broken3.html", "broken30.html"])
def test_text_is_readable_in_light_and_dark(browser: Browser, name: str, dark: bool) -> None:
    page = Page(browser, name, dark=dark)
    page.click(BLOCKED)
    assert page.ask(CONTRASTS) == []
    ground = page.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 26)" if dark else "rgb(247, 247, 245)")


@pytest.mark.parametrize("size", [3, 30])
def test_a_screen_reader_meets_a_table_with_heads_and_names(browser: Browser, size: int) -> None:
    page = Page(browser, f"broken{size}.html")
    told = page.accessible()
    roles = [role for role, _name in told]
    assert ("grid", "Pairs") in told
    assert roles.count("columnheader") == roles.count("rowheader") == size
    assert roles.count("gridcell") == size * size + 1
    assert any(role == "button" and name.startswith("node1 to node2: failed") for role, name in told)
    assert any(role == "button" and "192.0.2.12, pods in 10.244.2.0/24" in name for role, name in told)
    assert [role for role, name in told if role in ("button", "combobox", "radio", "group") and not name] == []
    assert ("group", "Protocol") in told and ("combobox", "Node") in told


def test_cells_of_30_nodes_are_large_enough_to_hit_and_read(browser: Browser) -> None:
    page = Page(browser, "broken30.html")
    box = page.ask(f"(box => [box.width, box.height])(document.querySelector('{BLOCKED}').getBoundingClientRect())")
    assert min(box) >= 24, "WCAG 2.2, 2.5.8"
    assert page.ask("document.querySelector('#matrix').scrollWidth <= document.querySelector('#matrix').clientWidth")
