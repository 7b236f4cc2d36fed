"""Pictures that documents show, as small files."""

import io
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image
    from playwright.sync_api import Browser, Playwright

COLOURS: Final = 32
"""A few hues, their shades and the edges of letters."""
DPI: Final = 90


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG with a palette."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as picture:
        in_few_colours(picture, COLOURS).save(path, optimize=True)


def in_few_colours(picture: "Image", colours: int) -> "Image":
    """A picture with a palette."""
    from PIL.Image import Quantize

    # Of the ways to choose a palette this one does not give up the hues of small marks.
    return picture.convert("RGB").quantize(colours, Quantize.MAXCOVERAGE, kmeans=3)


def opened_browser(driver: "Playwright") -> "Browser":
    """Headless Chromium, the system's."""
    found = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    return driver.chromium.launch(executable_path=found)
