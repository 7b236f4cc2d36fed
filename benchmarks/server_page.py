"""The pictures of the server's page in docs/: a real conversation with the 0.5B, still and moving.

    python -m benchmarks.server_page [--threads N]

Starts `et-agent serve`, opens its page in headless Chromium, and asks what a person would ask, a gate
on. Writes docs/server.webp, in which an answer takes `SHOWN` seconds at most, however long it took. The
stills are its end, as docs/server-light.png, -dark.png, and on a phone -phone.png.
Folders of the user are not touched: the server's data go to a temporary one.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from PIL import Image

from benchmarks.pictures import in_few_colours, opened_browser
from benchmarks.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

DOCS: Final = Path(__file__).parent.parent / "docs"
QUESTIONS: Final = (
    "A box holds 12 eggs. How many eggs are in 3 boxes?",
    "How many legs have 3 cats and 2 birds?",
)
SIZE: Final = (1440, 1000)
PHONE: Final = (390, 1400)
FILM: Final = (1120, 778)
"""Of the moving picture, which is drawn smaller."""
COLOURS: Final = 48
LOOKS: Final = 0.25
"""Seconds between two looks at the page."""
FRAME: Final = 0.2
"""Shortest time that a frame is shown, in seconds."""
SHOWN: Final = 6.0
"""Longest time in which an answer is shown to come, in seconds."""
PAUSE: Final = 2.5
"""After an answer."""
TYPING: Final = 0.12
"""For three letters."""


class Frame(NamedTuple):
    """What the page showed for some seconds, as a PNG."""

    picture: bytes
    seconds: float


class Film:
    """A page, looked at again and again."""

    def __init__(self, page: "Page") -> None:
        self._page = page
        self.frames: list[Frame] = []

    def type(self, text: str) -> None:
        """Write a question as a person does, three letters a frame."""
        box = self._page.get_by_label("Question", exact=True)
        for start in range(0, len(text), 3):
            box.press_sequentially(text[start : start + 3])
            self.frames.append(Frame(self._page.screenshot(), TYPING))

    def until_answered(self, turns: int) -> None:
        """Look on until so many replies can be called right."""
        replies = self._page.get_by_role("button", name="Right", exact=True)
        seen = []
        began = time.monotonic()
        while replies.count() < turns:
            seen.append((time.monotonic() - began, self._page.screenshot()))
            time.sleep(LOOKS)
        took = time.monotonic() - began
        self.frames += hastened(seen, took)
        self.frames.append(Frame(self._page.screenshot(), PAUSE))


def hastened(seen: Sequence[tuple[float, bytes]], took: float) -> Iterator[Frame]:
    """What was seen, with the seconds that the film shows it: changes only, none too short."""
    factor = min(1.0, SHOWN / took)
    shown, since = seen[0][1], 0.0
    for at, picture in seen[1:]:
        if picture != shown and factor * (at - since) >= FRAME:
            yield Frame(shown, factor * (at - since))
            shown, since = picture, at
    yield Frame(shown, factor * (took - since))


def write_film(frames: Sequence[Frame], path: Path) -> None:
    """Write it as an animated WebP without loss, in the colours of the last frame, which has all."""
    palette = in_few_colours(_small(frames[-1].picture), COLOURS)
    first, *others = (
        _small(frame.picture).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        for frame in frames
    )
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=[round(1000 * frame.seconds) for frame in frames],
        loop=0,
        lossless=True,
        quality=100,
        method=4,
        minimize_size=True,
    )


def _small(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as opened:
        return opened.convert("RGB").resize(FILM, Image.Resampling.LANCZOS)


def write_still(picture: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(picture)) as opened:
        in_few_colours(opened, COLOURS).save(path, optimize=True)


def draw(url: str) -> None:
    """Ask on the page and keep what it shows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = opened_browser(driver)
        width, height = SIZE
        page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        page.goto(url)
        page.get_by_text("Settings", exact=True).click()
        page.get_by_label("Below the threshold").first.select_option("abstain")
        page.get_by_label("Threshold", exact=True).first.fill("0.8")
        page.get_by_text("Settings", exact=True).click()
        film = Film(page)
        for turn, question in enumerate(QUESTIONS, start=1):
            film.type(question)
            page.keyboard.press("Enter")
            film.until_answered(turn)
        write_film(film.frames, DOCS / "server.webp")
        write_still(film.frames[-1].picture, DOCS / "server-light.png")
        page.emulate_media(color_scheme="dark")
        write_still(page.screenshot(), DOCS / "server-dark.png")
        page.emulate_media(color_scheme="light")
        width, height = PHONE
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("window.scrollTo(0, 0)")
        write_still(page.screenshot(), DOCS / "server-phone.png")
        chromium.close()


def main() -> None:
    """Serve, ask, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("DATA", "CONFIG", "STATE"):
            os.environ[f"XDG_{name}_HOME"] = folder
        with served(options, "--leaves", "8") as server:
            draw(server.url)


if __name__ == "__main__":
    main()
