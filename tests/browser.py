"""A headless Chromium, driven through chromedriver's own protocol (W3C WebDriver over HTTP)."""

import base64
import json
import re
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

OPTIONS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
]


def missing() -> str | None:
    """What of the browser is not installed, or None."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install chromium chromium-driver)"
    return None


class Browser:
    """Context manager over one browser with one page."""

    def __init__(self, profile: Path) -> None:
        self.profile = profile

    def __enter__(self) -> "Browser":
        self.log = open(self.profile / "chromedriver.log", "w+")  # noqa: SIM115
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            self.address = f"http://127.0.0.1:{self._port()}/session"
            chrome = {
                "binary": shutil.which("chromium"),
                "args": [*OPTIONS, f"--user-data-dir={self.profile / 'profile'}"],
            }
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": chrome,
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
                "timeouts": {"script": 120_000},
            }
            made = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
            self.address += f"/{made['sessionId']}"
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._stop()

    def open(self, page: Path, width: int, height: int = 900) -> None:
        """Open a file in a window of this size in CSS pixels, and wait until it is loaded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self._ask("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """The value that a piece of JavaScript returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def scheme(self, name: str) -> None:
        """Prefer the colour scheme `light` or `dark`."""
        wanted = [{"name": "prefers-color-scheme", "value": name}]
        self.devtools("Emulation.setEmulatedMedia", features=wanted)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key, as a person would; `text` is what the key types."""
        known = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.devtools("Input.dispatchKeyEvent", type="keyDown", text=text, **known)
        self.devtools("Input.dispatchKeyEvent", type="keyUp", **known)

    def messages(self) -> list[str]:
        """What the console said since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [f"{entry['level']}: {entry['message']}" for entry in entries]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call, data URIs cut short."""
        entries = self._ask("POST", "/se/log", {"type": "performance"})
        told = [json.loads(entry["message"])["message"] for entry in entries]
        asked = [t["params"] for t in told if t["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"][:200] for params in asked]

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a png."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of Chromium's DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path,
            data,
            {"Content-Type": "application/json; charset=utf-8"},
            method=method,
        )
        # No proxy of the environment may stand between the test and its own browser.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=150) as answer:
            return json.load(answer)["value"]

    def _port(self) -> int:
        for _ in range(300):
            started = re.search(r"successfully on port (\d+)", Path(self.log.name).read_text())
            if started:
                return int(started[1])
            time.sleep(0.1)
        raise TimeoutError("chromedriver did not start within 30 seconds")

    def _stop(self) -> None:
        self.driver.terminate()
        self.driver.wait(timeout=30)
        self.log.close()
