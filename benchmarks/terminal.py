"""The recording of a terminal in docs/: commands that are really run, as an animated SVG.

    python -m benchmarks.terminal --record     # runs the commands: …/results/terminal.cast.xz
    python -m benchmarks.terminal              # draws docs/terminal.svg from it

The recording is an asciicast (version 2), which asciinema plays once it is unpacked. Typing is put in,
and the header names the CPU. A command that takes longer than `SHOWN` seconds is drawn faster.
Drawing needs pyte (`pip install pyte`), a terminal in memory.
"""

import argparse
import codecs
import fcntl
import json
import lzma
import os
import pty
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.machine import describe

CAST: Final = Path(__file__).parent / "results" / "terminal.cast.xz"
PICTURE: Final = Path(__file__).parent.parent / "docs" / "terminal.svg"
COLUMNS: Final = 88
ROWS: Final = 30
COMMANDS: Final = (
    ("ask", "A box holds 12 eggs. How many eggs are in 3 boxes?", "--leaves", "8"),
    ("gate", "ask", "Who was the 23rd person to walk on the moon?", "--answer-at", "0.8"),
)
PROMPT: Final = "\x1b[32m$\x1b[0m "
KEY: Final = 0.035
"""Seconds between two keys."""
SHOWN: Final = 7.0
"""Longest time that a command takes in the picture."""
END: Final = 3.0
FRAME: Final = 0.3
"""Changes within so many seconds are one frame."""
CELL: Final = (7.8, 17.0)
COLOURS: Final = {
    "default": "#d8dee9",
    "black": "#4c566a",
    "red": "#f0787c",
    "green": "#8fd08f",
    "brown": "#e5c07b",
    "yellow": "#e5c07b",
    "blue": "#7fb2f0",
    "magenta": "#cf9fe0",
    "cyan": "#6fcbd0",
    "white": "#eceff4",
}

Event = tuple[float, str]


class Frame(NamedTuple):
    """What the screen shows from a time on: rows of (column, text, colour, bold)."""

    at: float
    rows: tuple[tuple[tuple[int, str, str, bool], ...], ...]


def typed(command: Sequence[str]) -> str:
    """A command as a person types it."""
    return " ".join(["et-agent", *(f'"{one}"' if " " in one else one for one in command)])


def output(command: Sequence[str]) -> Iterator[Event]:
    """What a command writes to a terminal, with seconds since its start."""
    child, terminal = pty.fork()
    if not child:
        os.environ["TERM"] = "xterm-256color"
        os.environ["COLUMNS"], os.environ["LINES"] = str(COLUMNS), str(ROWS)
        os.execv(sys.executable, [sys.executable, "-m", "et_agent.cli.main", *command])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    began, decoder = time.monotonic(), codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        select.select([terminal], [], [])
        try:
            read = os.read(terminal, 65536)
        except OSError:
            break  # it has ended
        if not read:
            break
        yield time.monotonic() - began, decoder.decode(read)
    os.waitpid(child, 0)
    os.close(terminal)


def record() -> None:
    """Run the commands and keep what the terminal showed."""
    events: list[Event] = []
    now = 0.5
    for command in COMMANDS:
        events.append((now, PROMPT))
        for key in typed(command):
            now += KEY
            events.append((now, key))
        now += KEY
        events.append((now, "\r\n"))
        shown = list(output(command))
        events += [(now + at, text) for at, text in shown]
        now += shown[-1][0] + 0.3
    header: dict[str, Any] = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "et-agent"}
    header["machine"] = describe()
    lines = [header, *([round(at, 3), "o", text] for at, text in events)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    CAST.write_bytes(lzma.compress(text.encode()))


def hastened() -> Iterator[Event]:
    """What is written, with the seconds at which the picture shows it."""
    lines = lzma.decompress(CAST.read_bytes()).decode().splitlines()[1:]
    events = [(float(at), str(text)) for at, _, text in map(json.loads, lines)]
    starts = [at for at, text in events if text == PROMPT]
    now = 0.5
    for begins, ends in zip(starts, [*starts[1:], events[-1][0] + 1.0], strict=True):
        mine = [(at - begins, text) for at, text in events if begins <= at < ends]
        factor = min(1.0, SHOWN / mine[-1][0])
        for at, text in mine:
            # Typing is as fast as it was.
            yield now + (at if len(text) == 1 else max(factor * at, min(at, 2.5))), text
        now += max(factor * mine[-1][0], 2.5) + 1.5


def frames() -> list[Frame]:
    """The screens of the recording, pauses cut."""
    import pyte

    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    found: list[Frame] = []
    for now, text in hastened():
        stream.feed(text)
        frame = Frame(now, tuple(map(tuple, (runs(screen.buffer[row]) for row in range(ROWS)))))
        if found and now - found[-1].at < FRAME:
            frame = frame._replace(at=found.pop().at)
        if not found or found[-1].rows != frame.rows:
            found.append(frame)
    return found


def runs(row: Any) -> Iterator[tuple[int, str, str, bool]]:
    """Stretches of a row that look alike."""
    start, text, look = 0, "", ("default", False)
    for column in range(COLUMNS):
        cell = row[column]
        colour = cell.bg if cell.reverse and cell.bg != "default" else cell.fg
        here = (colour, bool(cell.bold))
        if here != look:
            if text.strip():
                yield start, text.rstrip(), *look
            start, text, look = column, "", here
        text += cell.data
    if text.strip():
        yield start, text.rstrip(), *look


def drawn(shown: Sequence[Frame]) -> str:
    """The frames as an SVG that plays in a loop, without a script."""
    width, height = CELL[0] * COLUMNS + 24, CELL[1] * ROWS + 24
    length = shown[-1].at + END
    style, groups = [], []
    for number, frame in enumerate(shown):
        ends = shown[number + 1].at if number + 1 < len(shown) else length
        on, off = 100 * frame.at / length, 100 * ends / length
        keys = (
            f"0%,{on:.3f}%{{visibility:hidden}}{on + 0.001:.3f}%,{off:.3f}%{{visibility:visible}}"
        )
        if off < 100:
            keys += f"{off + 0.001:.3f}%,100%{{visibility:hidden}}"
        style.append(f"@keyframes f{number}{{{keys}}}#f{number}{{animation-name:f{number}}}")
        texts = "".join(row_text(row, at) for at, row in enumerate(frame.rows) if row)
        groups.append(f'<g id="f{number}" class="f">{texts}</g>')
    still = f"#f{len(shown) - 1}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="et-agent in a terminal">'
        "<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        "monospace;white-space:pre}.b{font-weight:bold}"
        f".f{{visibility:hidden;animation:{length:.2f}s step-end infinite}}{''.join(style)}"
        "@media (prefers-reduced-motion:reduce){.f{animation:none}"
        f"{still}{{visibility:visible}}}}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#1b2028"/>{"".join(groups)}</svg>\n'
    )


def row_text(row: Sequence[tuple[int, str, str, bool]], at: int) -> str:
    """A row of the screen."""
    y = 12 + CELL[1] * (at + 0.8)
    parts = []
    for column, text, colour, bold in row:
        fill = COLOURS.get(colour.removeprefix("bright"), f"#{colour}" if len(colour) == 6 else "")
        looks = f' fill="{fill or COLOURS["default"]}"' + (' class="b"' if bold else "")
        length = CELL[0] * len(text)
        parts.append(
            f'<text x="{12 + CELL[0] * column:.1f}" y="{y:.1f}" textLength="{length:.1f}"'
            f' lengthAdjust="spacingAndGlyphs"{looks}>{escape(text)}</text>'
        )
    return "".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    if parser.parse_args().record:
        record()
    PICTURE.write_text(drawn(frames()), encoding="utf-8")


if __name__ == "__main__":
    main()
