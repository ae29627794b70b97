"""Headless Chromium, driven over its debugging pipe.

Owns: Browser, which opens a page and evaluates expressions, presses keys and takes pictures in it.
Must never do: wait for a time; every answer is to a question that was asked.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

ANSWER_S = 60.0
_KEY_CODES = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Tab": 9,
    "Enter": 13,
}


class Browser:
    """One Chromium with one page. ``profile`` is a directory of its own."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        program = shutil.which("chromium")
        assert program, "chromium is needed: run .ci/tools, or apt-get install chromium"
        inner_read, self._write = os.pipe()
        self._read, inner_write = os.pipe()
        # Chromium takes its orders on descriptor 3 and answers on 4.
        self._process = subprocess.Popen(
            [
                "bash", "-c", f'exec "$@" 3<&{inner_read} 4>&{inner_write}', "-", program,
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(inner_read, inner_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(inner_read)
        os.close(inner_write)
        self._received = b""
        self._number = 0
        self._session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer; events in between are dropped."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = self._message(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result

    def _message(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._read], [], [], deadline - time.monotonic())
            assert ready, f"chromium gave no answer in {ANSWER_S} s"
            piece = os.read(self._read, 1 << 20)
            assert piece, "chromium is gone"
            self._received += piece
        line, self._received = self._received.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        return message

    def open(self, page: Path, fragment: str = "") -> None:
        """Loads a file, afresh where only the fragment differs too; waits until it is drawn."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page.resolve().as_uri() + fragment)
        done = "('ready' in root.dataset || 'errors' in root.dataset)"
        self.wait_for(f"document.readyState === 'complete' && {done}")
        assert self.evaluate("root.dataset.errors") is None, self.evaluate("root.dataset.errors")
        self.drawn()

    def visit(self, url: str) -> None:
        """Loads a page of a server and waits until it says that it is ready."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && 'ready' in root.dataset")

    def evaluate(self, expression: str) -> Any:
        """``root`` is the document's element."""
        source = f"(() => {{ const root = document.documentElement; return ({expression}); }})()"
        answer = self.call(
            "Runtime.evaluate", expression=source, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        deadline = time.monotonic() + ANSWER_S
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"never true: {condition}"

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """For what is not in the page alone."""
        deadline = time.monotonic() + ANSWER_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}"
            self.evaluate("new Promise((done) => setTimeout(done, 20))")

    def drawn_apart(self) -> None:
        """Lets the page's own timers and messages have their turns, without asking for a frame."""
        self.evaluate("new Promise((done) => setTimeout(() => setTimeout(done, 50), 50))")

    def drawn(self) -> None:
        """Waits until what was asked for before is on the screen."""
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => done(true)))"
        self.evaluate(f"new Promise((done) => {frames})")

    def press(self, key: str, *, shift: bool = False) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        code = _KEY_CODES.get(key, ord(key.upper()[0]))
        described = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **described, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **described)
        self.drawn()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)
        self.drawn()

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """The page behind another tab."""
        session, self._session = self._session, None
        other = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = session
        self.wait_for("document.hidden")
        try:
            yield
        finally:
            self._session = None
            self.call("Target.closeTarget", targetId=other)
            self._session = session
            self.wait_for("!document.hidden")

    def dark(self, on: bool, *, calm: bool = False) -> None:
        """``calm``: the reader wants reduced motion."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if on else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path) -> None:
        """The whole page, not only what the window shows."""
        self.drawn()
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
