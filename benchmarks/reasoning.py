"""The reasoning formats of real models' chat templates, for docs/models.md.

    python -m benchmarks.reasoning [FOLDER]

llama.cpp's source archive carries the templates. FOLDER holds them (its models/templates); without one,
the archive of the installed llama-cpp-python is downloaded.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.documents import ROOT, put
from benchmarks.kernels.stock import llama_cpp_source
from et_agent.errors import UnsupportedModelError
from et_agent.storage import write_atomically
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import Message

OUT = ROOT / "benchmarks" / "results" / "reasoning.json"
ASKED: Message = {"role": "user", "content": "ASKED"}
THOUGHT: Message = {"role": "assistant", "content": "SAID", "reasoning_content": "THOUGHT"}


def described(template: ChatTemplate) -> dict[str, Any] | None:
    """What a template says of thoughts, as plain data; None for one that knows none."""
    form = template.reasoning
    if form is None:
        return None
    return {
        "opening": form.opening,
        "closing": form.closing,
        "answer": form.answer.removeprefix(form.turn),
        "prompt": form.prompt,
        "thinks": form.thinks,
        "on": form.on,
        "off": form.off,
        "history": shown_in_history(template),
    }


def shown_in_history(template: ChatTemplate) -> bool | None:
    """Whether a thought before the last question is shown; None where no history is taken."""
    try:
        pieces = template.pieces([ASKED, THOUGHT, ASKED])
    except UnsupportedModelError:
        return None
    return any(piece.text == "THOUGHT" for piece in pieces)


def rows(found: dict[str, dict[str, Any] | None]) -> Iterator[str]:
    """The table: one line per format, with the templates that have it."""
    yield "| a thought is between | then | prompts | unasked | switch | in a history | templates |"
    yield "|---|---|---|---|---|---|---|"
    lines: dict[str, list[str]] = {}
    for name, form in found.items():
        if form is None:
            continue
        switch = (
            "none" if form["off"] is None else "; ".join(_shown(form[key]) for key in ("on", "off"))
        )
        shown = {True: "shown", False: "dropped", None: "none"}[form["history"]]
        cells = [
            f"{_code(form['opening'])} {_code(form['closing'])}",
            _code(form["answer"]) if form["answer"] else "none",
            {"open": "open it", "closed": "close it", "free": "leave it free"}[form["prompt"]],
            "thinks" if form["thinks"] else "does not",
            switch,
            shown,
        ]
        lines.setdefault(" | ".join(cells), []).append(name)
    for line, names in sorted(lines.items(), key=lambda one: (-len(one[1]), one[0])):
        yield f"| {line} | {', '.join(names)} |"


def _shown(options: dict[str, Any]) -> str:
    return ", ".join(_code(f"{name}={json.dumps(value)}") for name, value in options.items())


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def templates(given: Path | None) -> dict[str, str]:
    """Texts of the templates by name: those of a folder, or those of llama.cpp."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = given or llama_cpp_source(Path(temporary)) / "models" / "templates"
        found = {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.jinja"))}
    if not found:
        raise SystemExit(f"{folder} holds no templates")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    found = {
        name: described(ChatTemplate(text, "<s>", "</s>"))
        for name, text in templates(parser.parse_args().folder).items()
    }
    known = sum(one is not None for one in found.values())
    switched = sum(one is not None and one["off"] is not None for one in found.values())
    head = (
        f"Of {len(found)} templates, {known} know thoughts and {switched} have a switch for them."
    )
    print(head)
    put("docs/models.md", "reasoning", [head, "", *rows(found)])
    write_atomically(OUT, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
