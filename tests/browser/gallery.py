"""Pictures of every page and state, in light and dark, wide and narrow, to look at. A tool, not a test.

``python -m tests.browser.gallery [FOLDER]`` writes them and says where.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import CHROMIUM, served, sign_in

SIZES = ((1200, 900, "light"), (1200, 900, "dark"), (390, 844, "light"), (390, 844, "dark"))
PAGES = {
    "bo": [
        "",
        "services",
        "services/gui-past",
        "services/pypnm-api",
        "hosts",
        "hosts/alpha",
        "hosts/alpha/docs",
        "history",
        "settings",
    ],
    "ada": ["", "requests/new?service=pypnm-api"],
    "ed": ["registry", "registry/services/pypnm-gui", "registry/hosts/alpha", "registry/hosts/alpha/keys"],
    "root": ["audit", "people", "nothing-here"],
}


def main(folder: Path) -> None:
    """Take all pictures."""
    with served() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width, height, scheme in SIZES:
            for who, paths in PAGES.items():
                named = {path.split("?")[0].replace("/", "-") or "inbox": f"/{path}" for path in paths}
                if who in {"bo", "ada"}:
                    named |= {f"request-{name}": f"/requests/{one}" for name, one in site.requests.items()}
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if scheme == "dark" else "light",
                    timezone_id="Europe/Berlin",
                )
                page = context.new_page()
                sign_in(page, site, who)
                for name, path in named.items():
                    _take(page, site.base + path, folder / f"{name}-{who}-{scheme}-{width}.png")
                if who == "root":  # last: what a look around finds changes the states of the others
                    page.goto(f"{site.base}/hosts/alpha")
                    page.get_by_role("button", name="Look now").click()
                    page.screenshot(path=folder / f"map-{scheme}-{width}.png", full_page=True)
                context.close()
        browser.close()
    print(folder)


def _take(page: Page, address: str, picture: Path) -> None:
    page.goto(address)
    page.wait_for_timeout(150)
    page.screenshot(path=picture, full_page=True)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="askfirst-gallery-"))
    chosen.mkdir(parents=True, exist_ok=True)
    main(chosen)
