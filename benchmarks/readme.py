"""What README's snippets and docs/first-answer.md print, and README's two tables.

    python -m benchmarks.readme

The snippets are run on a result that was really decoded, benchmarks/results/tree_page.json
(`python -m benchmarks.tree_page --decode` decodes it anew): whatever asks its question gets it. Gates,
chains and the terminal's output are those of today.
"""

import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any, Final
from unittest.mock import patch

from benchmarks.documents import ROOT, put
from et_agent.evaluation.report import table
from et_agent.results import AskResult
from et_agent.runnables import EntropyTreeRunnable

RESULTS: Final = ROOT / "benchmarks" / "results"
KEPT: Final = RESULTS / "tree_page.json"
SNIPPET: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH: Final = 100
QUALITY: Final = (
    ("numbers", "all of kind number, qwen2.5-coder-0.5b", "0.5B"),
    ("numbers", "all of kind number, qwen2.5-coder-1.5b", "1.5B"),
    ("choices (MMLU)", "mmlu", "0.5B"),
    ("choices (MMLU)", "mmlu-1.5b", "1.5B"),
    ("texts (NQ-open)", "nq-open", "0.5B"),
    ("texts (NQ-open)", "nq-open-1.5b", "1.5B"),
)
SPEED: Final = {
    "overlapped": "et-agent, default tree",
    "early": "et-agent, tree that stops early",
    "server-n": "llama-server, n = 16",
    "llama": "`llama_cpp.Llama`, 16 calls",
}


@contextmanager
def replayed() -> Iterator[None]:
    """Let the kept question have the kept result, without a model."""
    result = AskResult.model_validate_json(KEPT.read_bytes())

    def ask(_: object, question: str, **__: object) -> AskResult:
        if question != result.question:
            raise SystemExit(f"{KEPT.name} answers {result.question!r}, not {question!r}")
        return result

    def invoke(_: object, asked: Any, *__: object) -> AskResult:
        return ask(None, asked.to_messages()[-1].text)

    with (
        patch("et_agent.ask", ask),
        patch("et_agent.load_model", lambda *_, **__: nullcontext()),
        patch.object(EntropyTreeRunnable, "invoke", invoke),
    ):
        yield


def printed() -> list[str]:
    """What each of README's snippets prints, one after the other."""
    said = []
    with replayed():
        for code in SNIPPET.findall((ROOT / "README.md").read_text("utf-8")):
            names: dict[str, Any] = {"__name__": "snippet"}  # each stands alone
            with redirect_stdout(io.StringIO()) as out:
                exec(compile(code, "README.md", "exec"), names)  # noqa: S102 - our own README
            said.append(out.getvalue())
    return said


def in_terminal() -> tuple[str, str]:
    """What `et-agent` prints of the kept result: answer and confidence, and the tree."""
    from et_agent.cli.main import main as command

    os.environ["COLUMNS"] = str(WIDTH)
    with redirect_stdout(io.StringIO()) as out:
        command(["tree", str(KEPT)])
    above, _, tree = out.getvalue().partition("\nTree ")
    return above, f"Tree {tree}"


def shown(text: str) -> list[str]:
    """A text as a block of the page."""
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    return ["", "```text", *lines, "```", ""]


def quality() -> list[str]:
    """Accuracy and calibration on test questions, by kind and model."""
    kept = json.loads((RESULTS / "confidence.json").read_text("utf-8"))
    rows = []
    for kind, name, model in QUALITY:
        one = kept["test samples"][name]
        rows.append(
            [
                f"{kind}, {model}",
                str(one["questions"]),
                *(f"{one[key]['value']:.2f}" for key in ("accuracy", "ECE", "Brier", "AUROC")),
                f"{one['ECE of the share']['value']:.2f}, {one['Brier of the share']['value']:.2f}",
            ]
        )
    head = ["Qwen2.5-Coder, test questions", "number", "accuracy", "ECE", "Brier", "AUROC"]
    return ["", *table([*head, "ECE, Brier of the share"], rows), ""]


def speed() -> list[str]:
    """Seconds per question beside what users would take instead."""
    alone = json.loads((RESULTS / "peers.json").read_text("utf-8"))
    queued = json.loads((RESULTS / "peers-queued.json").read_text("utf-8"))
    rows = []
    for system, told in SPEED.items():
        rows.append([told, seconds(alone, system), seconds(queued, system)])
    cpu = f"{alone['machine']['cpu']}, {alone['machine']['cores']} cores"
    where = f"0.5B model, 16 paths; {cpu}"
    return ["", *table([where, "one question alone, s", "of twelve at once, s each"], rows), ""]


def seconds(kept: dict[str, Any], system: str) -> str:
    """Seconds per question of a system: those of all its rounds, over all its questions."""
    jobs = [one for one in kept["jobs"].values() if one["system"] == system]
    questions = sum(len(one["answers"]) for one in jobs)
    return f"{sum(one['seconds'] for one in jobs) / questions:.1f}" if questions else "-"


def documents() -> dict[tuple[str, str], list[str]]:
    """What belongs between each pair of marks: page and name, lines."""
    found = {("README.md", f"said {at}"): shown(one) for at, one in enumerate(printed(), 1)}
    answer, tree = in_terminal()
    return found | {
        ("docs/first-answer.md", "answer"): shown(answer),
        ("docs/first-answer.md", "tree"): shown(tree),
        ("README.md", "quality"): quality(),
        ("README.md", "speed"): speed(),
    }


def main() -> None:
    for (page, name), lines in documents().items():
        put(page, name, lines)


if __name__ == "__main__":
    main()
