"""The pictures of the page in docs/: a real tree of the 0.5B, light and dark.

    python -m benchmarks.tree_page [--decode]

Draws benchmarks/results/tree_page.json in headless Chromium and writes docs/tree-light.png and
docs/tree-dark.png. `--decode` asks the question anew first.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Final, Literal

from et_agent.gate import Gate, GatePolicy
from et_agent.pages import result_page
from et_agent.results import AskResult

RESULT: Final = Path(__file__).parent / "results" / "tree_page.json"
DOCS: Final = Path(__file__).parent.parent / "docs"
QUESTION: Final = "How many legs have 3 cats and 2 birds?"
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SIZE: Final = (1160, 1060)


def decode() -> None:
    """Ask the question and keep the result."""
    from et_agent import EntropyTree, ask, load_model

    with load_model("qwen2.5-coder-0.5b") as model:
        decoder = EntropyTree(leaves=8)
        result = ask(model, QUESTION, decoder=decoder, alternatives=5)
    RESULT.write_text(result.model_dump_json() + "\n", encoding="utf-8")


def draw() -> None:
    """Draw the kept result, with what a gate decides about it."""
    from playwright.sync_api import sync_playwright

    result = AskResult.model_validate_json(RESULT.read_bytes())
    decision = Gate(GatePolicy(answer_at=0.8)).decide(result)
    browser = shutil.which("chromium") or shutil.which("chromium-headless-shell")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        page_file = Path(folder) / "tree.html"
        page_file.write_text(result_page(result, decision), encoding="utf-8")
        chromium = driver.chromium.launch(executable_path=browser)
        for scheme in SCHEMES:
            width, height = SIZE
            page = chromium.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.goto(page_file.as_uri())
            page.screenshot(path=DOCS / f"tree-{scheme}.png")
        chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decode", action="store_true")
    if parser.parse_args().decode:
        decode()
    draw()


if __name__ == "__main__":
    main()
