"""The pictures of trees in docs/: real ones of the 0.5B, light and dark.

    python -m benchmarks.tree_page [--decode]

Draws benchmarks/results/tree_page.json in headless Chromium, as a page and its tree alone, and the tree
of benchmarks/results/tree_sure.json. Writes docs/tree-*.png. `--decode` asks the questions anew first.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Final, Literal

from benchmarks.pictures import opened_browser
from et_agent.gate import Gate, GatePolicy
from et_agent.pages import result_page
from et_agent.results import AskResult

RESULTS: Final = Path(__file__).parent / "results"
DOCS: Final = Path(__file__).parent.parent / "docs"
QUESTIONS: Final = {
    "tree_page": "How many bones does a horse have?",
    "tree_sure": "A box holds 12 eggs. How many eggs are in 3 boxes?",
}
TREES: Final = {"unsure": "tree_page", "sure": "tree_sure"}
"""Pictures of a tree alone, by their name."""
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
SIZE: Final = (1160, 1060)
WIDE: Final = (1560, 1060)
"""For a tree alone, which would be cut at the right edge otherwise."""
TREE: Final = "main div.map"


def decode() -> None:
    """Ask the questions and keep the results."""
    from et_agent import EntropyTree, ask, load_model

    with load_model("qwen2.5-coder-0.5b") as model:
        for name, question in QUESTIONS.items():
            # Only the page shows what else the model could have said.
            alternatives = 5 if name == "tree_page" else 0
            decoder = EntropyTree(leaves=8)
            result = ask(model, question, decoder=decoder, alternatives=alternatives, seed=0)
            (RESULTS / f"{name}.json").write_text(result.model_dump_json() + "\n", encoding="utf-8")


def draw() -> None:
    """Draw the kept results, with what a gate decides about them."""
    from playwright.sync_api import sync_playwright

    gate = Gate(GatePolicy(answer_at=0.8))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        chromium = opened_browser(driver)
        for scheme in SCHEMES:
            page = chromium.new_page(color_scheme=scheme, bypass_csp=True)
            for name in QUESTIONS:
                result = AskResult.model_validate_json((RESULTS / f"{name}.json").read_bytes())
                file = Path(folder) / f"{name}.html"
                file.write_text(result_page(result, gate.decide(result)), encoding="utf-8")
            for picture, name in {"": "tree_page", **TREES}.items():
                width, height = WIDE if picture else SIZE
                page.set_viewport_size({"width": width, "height": height})
                page.goto((Path(folder) / f"{name}.html").as_uri())
                if picture:
                    page.add_style_tag(content="body, main { max-width: none !important }")
                    page.locator(TREE).screenshot(path=DOCS / f"tree-{picture}-{scheme}.png")
                else:
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
