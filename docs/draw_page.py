"""Takes the picture of `keras-segattn demo`, with Playwright and an installed Chromium.

python docs/draw_page.py
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ADDRESS = "http://127.0.0.1:8099/"
TARGET = Path(__file__).resolve().parent / "figures" / "page.jpg"


def main():
    command = [sys.executable, "-m", "keras_segattn.demo", *sys.argv[1:]]
    server = subprocess.Popen([*command, "--no-browser", "--port", "8099"], stdout=subprocess.PIPE)
    try:
        server.stdout.readline()  # NiceGUI announces that it is ready
        with sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 960})
            page.goto(ADDRESS)
            page.get_by_text("Click a pixel to see").wait_for(timeout=120_000)
            # A drawn road, with the network trained on drawn roads. Its legend, not
            # the photo's, has bicyclists.
            page.locator("div.cursor-pointer").nth(2).click()
            page.get_by_text(re.compile("^Bicyclist ")).wait_for(timeout=120_000)
            box = page.locator("div.max-w-3xl").bounding_box()
            page.mouse.click(box["x"] + 0.72 * box["width"], box["y"] + 0.55 * box["height"])
            page.get_by_text(re.compile(r"^row \d+")).wait_for(timeout=120_000)
            page.mouse.move(0, 0)
            page.wait_for_timeout(2_000)
            page.screenshot(path=TARGET, full_page=True, type="jpeg", quality=80)
            browser.close()
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
