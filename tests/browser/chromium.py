"""A real Chromium in a container without a network, driven over its DevTools protocol.

The protocol (chromedevtools.github.io/devtools-protocol) is spoken over the container's stdin and
stdout, so there is no port, no driver and no library in between.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from images import on_top_of_the_lab

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
PAGES = "/pages"
TIMEOUT = 60.0
# Keys that do more than to be told to the page: their virtual key codes, and what they type.
KEYS = {"Enter": (13, "\r"), " ": (32, " "), "Tab": (9, ""), "Escape": (27, "")}
# The container is its sandbox. The protocol has descriptors 3 and 4.
COMMAND = (
    "exec chromium-headless-shell --no-sandbox --disable-dev-shm-usage --remote-debugging-pipe "
    "3<&0 4>&1 0</dev/null 1>&2"
)


class Browser:
    """Chromium, with a directory of the machine as ``/pages``."""

    def __init__(self, pages: Path) -> None:
        options = ["--rm", "--interactive", "--init", "--network=none", f"--volume={pages}:{PAGES}:ro"]
        self.process = subprocess.Popen(
            ["docker", "run", *options, on_top_of_the_lab(HERE), "sh", "-c", COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self.sent = 0
        self.pending = b""
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Result of a command. Events that come meanwhile are kept."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        assert self.process.stdin
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.sent:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def wait(self, method: str, session: str) -> None:
        """Wait for an event of a session that has not come yet, or has since the last command."""
        deadline = time.monotonic() + TIMEOUT
        while not any(event["method"] == method and event.get("sessionId") == session for event in self.events):
            self.events.append(self._receive(deadline))

    def _receive(self, deadline: float) -> dict[str, Any]:
        assert self.process.stdout
        while b"\0" not in self.pending:
            ready = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            data = os.read(self.process.stdout.fileno(), 1 << 20) if ready else b""
            assert data, "the browser ended, or does not answer"
            self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        return dict(json.loads(message))

    def close(self) -> None:
        """End the browser, and with it its container."""
        self.call("Browser.close")
        self.process.wait(TIMEOUT)


class Page:
    """A page of the browser."""

    def __init__(self, browser: Browser, name: str, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")
        mobile = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=f"file://{PAGES}/{name}")
        browser.wait("Page.loadEventFired", self.session)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Result of a command to this page."""
        return self.browser.call(method, self.session, **parameters)

    def ask(self, expression: str) -> Any:
        """Value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """What is to be read in the first element of a selector. Elements of a drawing have no innerText."""
        return str(
            self.ask(f"(one => one.innerText ?? one.textContent)(document.querySelector({json.dumps(selector)}))")
        )

    def count(self, selector: str) -> int:
        """Number of elements of a selector."""
        return int(self.ask(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click with the mouse into the middle of an element; whatever lies on top gets the click."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.ask(f"{found}.scrollIntoView({{block: 'center', inline: 'center'}})")
        box = self.ask(f"(box => [box.x + box.width / 2, box.y + box.height / 2])({found}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            code, text = KEYS.get(key, (0, ""))
            key_down = {"key": key, "windowsVirtualKeyCode": code, "text": text}
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **key_down)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]

    def errors(self) -> list[dict[str, Any]]:
        """What the page's console complains of."""
        return [
            event
            for event in self._events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
            if event.get("type", "error") in ("error", "warning", "assert")
        ]

    def requests(self) -> list[str]:
        """All that the page asked for."""
        return [event["request"]["url"] for event in self._events("Network.requestWillBeSent")]

    def _events(self, *methods: str) -> list[dict[str, Any]]:
        own = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in own if event["method"] in methods]

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write what is to be seen as a PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))
