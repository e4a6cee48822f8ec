"""Takes the pictures of docs/images from a demo of its own, or from a platform that runs already.

python scripts/screenshots.py [--url http://127.0.0.1:8484] [--out docs/images]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs/images"
WIDTH, HEIGHT = 1440, 900
#: File, page. Each is taken in light and dark (`-dark`).
PICTURES = (
    ("console", "/console/things/machine-1?range=30d"),
    ("overview", "/"),
    ("things", "/console/things"),
    ("room", "/console/things/room-1?range=7d&chart=all"),
)
#: The past of all things takes a while; then a little of the present shall be seen.
FILLED_WITHIN_S = 300
LIVE_S = 20
SETTLED_MS = 5_000


@contextmanager
def demo() -> Iterator[str]:
    """`allthings demo` on free ports and a data directory that goes away; its address."""
    program = Path(sys.executable).parent / "allthings"
    with tempfile.TemporaryDirectory() as data:
        command = [str(program), "demo", "--data", data, "--http-port", "0", "--mqtt-port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                ready = next(line for line in process.stdout if line.startswith("ready "))
                url = ready.split("http=")[1].split()[0]
                wait_for_history(url)
                yield url
            finally:
                process.terminate()
                process.wait(timeout=30)


def wait_for_history(url: str) -> None:
    """Until every thing is known and sends."""
    deadline = time.monotonic() + FILLED_WITHIN_S
    while True:
        things = httpx.get(f"{url}/api/status").json()["things"]
        if things["total"] >= 37 and things["online"] >= 37:
            break
        if time.monotonic() > deadline:
            raise SystemExit(f"the demo is not live after {FILLED_WITHIN_S} s: {things}")
        time.sleep(1)
    time.sleep(LIVE_S)


def take(browser: Browser, url: str, out: Path) -> None:
    """All pictures, in both schemes. A page that reports an error ends it."""
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme, locale="en-GB", reduced_motion="reduce"
        )
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        for name, path in PICTURES:
            page.goto(url + path)
            page.wait_for_timeout(SETTLED_MS)
            target = out / f"{name}{'-dark' if scheme == 'dark' else ''}.png"
            page.screenshot(path=target)
            print(f"{target} {target.stat().st_size} bytes")
        if errors:
            raise SystemExit(f"errors on the page: {errors}")
        context.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a demo that runs already; default: one is started")
    parser.add_argument("--out", type=Path, default=IMAGES)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    if not chromium:
        print("chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if given.url:
            take(browser, given.url, given.out)
        else:
            with demo() as url:
                take(browser, url, given.out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
