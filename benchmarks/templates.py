"""What real models' chat templates make of conversations and tools, for docs/models.md.

    python -m benchmarks.templates [FOLDER]

Each conversation is rendered by et-agent and by plain Jinja, as Transformers and llama-cpp-python do.
FOLDER holds the templates, as for benchmarks.reasoning.
"""

import argparse
import copy
import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.documents import ROOT, put
from benchmarks.reasoning import templates
from et_agent.errors import UnsupportedModelError
from et_agent.storage import write_atomically
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.messages import Message, Tool

OUT = ROOT / "benchmarks" / "results" / "templates.json"

TOOL: Final[Tool] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "A city."},
                "days": {"type": "integer", "description": "How many."},
            },
            "required": ["city"],
        },
    },
}
ASKED: Final[Message] = {"role": "user", "content": "Will it  rain in Rome? "}
AGAIN: Final[Message] = {"role": "user", "content": "And in Oslo?"}
SAID: Final[Message] = {"role": "assistant", "content": "It will not."}
SYSTEM: Final[Message] = {"role": "system", "content": "You are brief."}
MORE: Final[Message] = {"role": "system", "content": "You are kind."}
ROME: Final[Any] = {
    "id": "callrome1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Rome", "days": 2}},
}
OSLO: Final[Any] = {
    "id": "calloslo1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": {"city": "Oslo"}},
}
SUN: Final[Message] = {
    "role": "tool",
    "content": "sunny",
    "tool_call_id": "callrome1",
    "name": "get_weather",
}
SNOW: Final[Message] = {**SUN, "content": "snow", "tool_call_id": "calloslo1"}
CASES: Final[Mapping[str, tuple[list[Message], list[Tool]]]] = {
    "single": ([ASKED], []),
    "system": ([SYSTEM, ASKED], []),
    "two systems": ([SYSTEM, MORE, ASKED], []),
    "two users": ([ASKED, AGAIN], []),
    "assistant first": ([SAID, ASKED], []),
    "turns": ([SYSTEM, ASKED, SAID, AGAIN], []),
    "tools": ([ASKED], [TOOL]),
    "call": ([ASKED, {"role": "assistant", "content": "", "tool_calls": [ROME]}, SUN], [TOOL]),
    "parallel": (
        [ASKED, {"role": "assistant", "content": "", "tool_calls": [ROME, OSLO]}, SUN, SNOW],
        [TOOL],
    ),
    "text and call": (
        [ASKED, {"role": "assistant", "content": "Let me see.", "tool_calls": [ROME]}, SUN],
        [TOOL],
    ),
    "prefill": ([ASKED, SAID], []),
}
SIGNS: Final = {
    "equal": "=",
    "shows more": "+",
    "only here": "+",
    "refused": "-",
    "differs": "**≠**",
}


def plain(source: str, messages: Sequence[Message], tools: Sequence[Tool]) -> str | None:
    """The text of plain rendering; None where the template refuses."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    render = Jinja2ChatFormatter(template=source, eos_token="</s>", bos_token="<s>")
    try:
        given, shown = copy.deepcopy(list(messages)), copy.deepcopy(list(tools))
        return str(render(messages=given, tools=shown or None).prompt)
    except Exception:  # a template may raise anything
        return None


def outcome(source: str, template: ChatTemplate, messages: list[Message], tools: list[Tool]) -> str:
    """How a prompt compares with that of plain rendering."""
    there = plain(source, messages, tools)
    try:
        here = "".join(one.text for one in template.pieces(messages, tools))
    except UnsupportedModelError:
        return "refused"
    if there is None:
        return "only here"
    if messages[-1]["role"] == "assistant":  # plain rendering opens a turn behind the text
        return "equal" if there.startswith(here) else "only here"
    if here == there:
        return "equal"
    return "shows more" if leaves_out(source, messages, tools) else "differs"


def leaves_out(source: str, messages: Sequence[Message], tools: Sequence[Tool]) -> bool:
    """Whether plain rendering is silent about a message, a call or a tool."""
    words: list[str] = []

    def word() -> str:
        words.append(secrets.token_hex(6))
        return words[-1]

    said: Any = copy.deepcopy(list(messages))
    for one in said:
        if calls := one.get("tool_calls"):
            for call in calls:
                call["function"]["name"] = word()
        else:
            one["content"] = word()
    shown: Any = copy.deepcopy(list(tools))
    for tool in shown:
        tool["function"]["name"] = word()
    text = plain(source, said, shown)
    return text is None or not all(one in text for one in words)


def form_of(template: ChatTemplate) -> str | None:
    """How calls are written, in a word; None for a template without tools."""
    try:
        form = template.tool_format()
    except UnsupportedModelError:
        return None
    if form.parameters is None:
        listed = "list" if form.opening.rstrip().endswith(('[{"', '[{"name": "')) else "JSON"
        return f"JSON {listed}" if listed == "list" else "JSON"
    kinds = {one.encoding for one in form.parameters.values.values()}
    return "Python" if form.middle == "(" else "bare" if "bare" in kinds else "parameters"


def row(source: str) -> dict[str, Any]:
    """What a template makes of all cases."""
    template = ChatTemplate(source, "<s>", "</s>")
    form = form_of(template)
    example = None
    if form is not None:
        example = str(template.tool_format().written([ROME["function"]]))
    results = {
        name: outcome(source, template, copy.deepcopy(messages), copy.deepcopy(tools))
        for name, (messages, tools) in CASES.items()
    }
    thinking = template.reasoning
    if thinking is not None and thinking.off is not None and thinking.on is not None:
        for name, options in (("thinking on", thinking.on), ("thinking off", thinking.off)):
            results[name] = switched(source, template, options)
    return {"calls": form, "example": example, **results}


def switched(source: str, template: ChatTemplate, options: Mapping[str, Any]) -> str:
    """The same for one question with an option of the template."""
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    render = Jinja2ChatFormatter(template=source, eos_token="</s>", bos_token="<s>")
    asked: Any = [dict(ASKED)]
    try:
        there = render(messages=asked, **options).prompt
    except Exception:  # a template may raise anything
        return "only here"
    here = "".join(one.text for one in template.pieces([ASKED], (), options))
    return "equal" if here == there else "differs"


def table(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    names = [*CASES, "thinking on", "thinking off"]
    yield "| template | calls | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 2) + "|"
    for name, one in found.items():
        signs = (SIGNS[one[case]] if case in one else "" for case in names)
        yield f"| {name} | {one['calls'] or 'no tools'} | " + " | ".join(signs) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    found = {name: row(text) for name, text in templates(parser.parse_args().folder).items()}
    counts = Counter(
        one[case]
        for one in found.values()
        for case in [*CASES, "thinking on", "thinking off"]
        if case in one
    )
    tools = sum(one["calls"] is not None for one in found.values())
    more = counts["only here"] + counts["shows more"]
    head = (
        f"Of {sum(counts.values())} cells, {counts['equal']} have the text of plain rendering (`=`). "
        f"In {more} plain rendering refuses the conversation or leaves out a part of it, and et-agent "
        f"shows it (`+`). {counts['refused']} are refused by name (`-`), {counts['differs']} differ "
        f"otherwise. How calls are written is read for {tools} of {len(found)} templates; the others "
        "know no tools."
    )
    print(head)
    put("docs/models.md", "templates", [head, "", *table(found)])
    write_atomically(OUT, (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
