"""Make the picture of a report's gallery that the README shows.

python -m tests.report.picture results/report/index.html docs/report-gallery.png
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from tests.report.browser import open_browser, window


def take(page: Path, out: Path, width: int = 1440) -> None:
    """Write the first gallery of `page`, as a window of `width` pixels shows it, to the PNG `out`."""
    with tempfile.TemporaryDirectory() as profile:
        browser = open_browser(Path(profile))
        try:
            window(browser, width, 1000)
            browser.get(page.resolve().as_uri())
            section = "document.querySelector('section[data-kind=gallery]')"
            browser.execute_script(f"{section}.scrollIntoView()")
            time.sleep(1)
            x, y, w, h = browser.execute_script(
                f"const b = {section}.getBoundingClientRect(); return [b.x + scrollX, b.y + scrollY, b.width, b.height]"
            )
            clip = {"x": x, "y": y, "width": w, "height": h, "scale": 1}
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        finally:
            browser.quit()
    image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    image.quantize(128).save(out, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]))
