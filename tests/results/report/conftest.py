"""A real browser, where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.processes import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

#: Keeps Chromium off the network and out of a sandbox that containers do not have.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        pytest.skip("there is no chromium; Debian's package chromium has one")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(
            executable_path=found, args=list(FLAGS), timeout=1000 * PATIENCE_SECONDS
        )
        yield launched
        launched.close()


class Watched:
    """A page and everything that must not happen on it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.trouble: list[str] = []
        page.on("console", lambda message: self.trouble.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self._dialog(dialog.message, dialog.dismiss))
        page.on("request", lambda request: self._request(request.url))

    def _dialog(self, message: str, dismiss: Callable[[], None]) -> None:
        self.trouble.append(f"dialog: {message}")
        dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith(("file:", "data:image/jpeg;")):
            self.trouble.append(f"request: {url}")

    def open(self, path: Path, fragment: str = "") -> Page:
        """Open a report and wait for its list."""
        self.page.goto(f"{path.as_uri()}{fragment}")
        self.page.wait_for_selector(".row")
        return self.page


OpenPage = Callable[..., Watched]


@pytest.fixture
def watched(browser: Browser) -> Iterator[OpenPage]:
    """Make pages in contexts of their own; all of them must stay without trouble."""
    made: list[Watched] = []

    def make(*, dark: bool = False, width: int = 1300) -> Watched:
        context = browser.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": 850}
        )
        context.set_default_timeout(1000 * PATIENCE_SECONDS)
        made.append(Watched(context.new_page()))
        return made[-1]

    yield make
    for one in made:
        one.page.context.close()
        assert one.trouble == []
