"""Pictures that documents show, as small files."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = 32
"""A few hues, their shades and the edges of letters."""
DPI: Final = 90


def save(figure: "Figure", path: Path) -> None:
    """Write a figure as a PNG with a palette."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    # Of the ways to choose a palette this one does not give up the hues of small marks.
    most_hues = Image.Quantize.MAXCOVERAGE
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(COLOURS, most_hues, kmeans=3)
    few.save(path, optimize=True)
