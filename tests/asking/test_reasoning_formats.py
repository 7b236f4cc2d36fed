"""Every reasoning format in every answer kind: what is thought is no answer, what follows is."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import PathReader
from et_agent.decoding.greedy import Greedy
from et_agent.decoding.thinking import Thoughts
from et_agent.engines.scripted import END, TOOL_FORMAT
from et_agent.templates.chat import ChatTemplate
from et_agent.templates.reasoning import ReasoningFormat
from tests.templates.thinking import ANSWER, CASES, THOUGHT

KINDS = {
    "number": (r"Try \boxed{5}. Wrong.", r"\boxed{7}", "7", "How many?"),
    "math": (r"\boxed{\frac{1}{3}}", r"\boxed{\frac12}", r"\frac12", "How much?"),
    "choice": (r"\boxed{A}? No.", r"\boxed{B}", "B", "Which?\nA) one\nB) two"),
    "text": (r"\boxed{Sydney}? No.", r"\boxed{Canberra}", "Canberra", "Which capital?"),
    "date": (r"\boxed{1968-01-01}", r"\boxed{July 20, 1969}", "1969-07-20", "When?"),
    "quantity": (r"\boxed{5 cm}", r"\boxed{5 km}", "5 km", "How far is it?"),
    "range": (r"\boxed{1 to 2}", r"\boxed{5 to 10}", "5 to 10", "What range?"),
    "list": (r"\boxed{red, green}", r"\boxed{red, blue}", "red, blue", "Name two colours."),
    "yes_no": (r"\boxed{No}? Hm.", r"\boxed{Yes}", "Yes", "Is 7 prime?"),
    "json": ('{"total": 5}', '{"total": 7}', '{"total":7}', "Give the total as JSON."),
    "code": ("```python\nx = 5\n```", "```python\nx = 7\n```", "x = 7", "Write Python code."),
}
"""What is thought, what is said, the answer, and the question."""
PAIRS = [
    *zip(CASES, itertools.cycle(KINDS), strict=False),
    *(("harmony", kind) for kind in KINDS),
]
"""Every format and every kind, and channels with each."""
SCHEMA: Any = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}

TOOL: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "required": ["a"],
        },
    },
}


def call(number: int) -> str:
    written = json.dumps({"a": number})
    return f"{TOOL_FORMAT.opening}add{TOOL_FORMAT.middle}{written}{TOOL_FORMAT.closing}"


def form_of(name: str) -> ReasoningFormat:
    """The format as its template says it, of a model that thinks."""
    form = ChatTemplate(CASES[name].source, "", "<|im_end|>").reasoning
    assert form is not None
    opened = CASES[name].reply.startswith(form.opening)
    return replace(form, prompt="free" if opened else "open", thinks=True)


def reply(name: str, thought: str, said: str) -> str:
    return CASES[name].reply.replace(THOUGHT, thought).replace(ANSWER, said)


def asked(name: str, text: str, question: str, **options: Any) -> AskResult:
    form = form_of(name)
    # To the scripted model, what a prompt ends with is a part of the reply.
    begun = f"{form.opening}{form.after_opening}" if form.prompt == "open" else ""
    with ScriptedModel.from_texts({f"{begun}{text}": 1}, reasoning=form) as model:
        decoder = options.pop("decoder", MultiChain(leaves=2, temperature=1))
        result = ask(model, question, decoder=decoder, calibrator=None, **options)
        assert isinstance(result, AskResult)
        return result


def test_every_kind_is_here_and_more_than_twelve_formats() -> None:
    assert KINDS.keys() == {*AnswerKind} - {
        "auto",
        "long",
    }  # long ones have claims in place of votes
    assert len(CASES) > 12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_read_after_the_thought(name: str, kind: str) -> None:
    thought, said, answer, question = KINDS[kind]
    result = asked(name, reply(name, thought, said), question, kind=kind)
    assert (result.answer, result.share) == (answer, 1)
    assert result.reasoning == thought
    assert result.tree is not None
    assert result.tree.leaves[0].text.strip() == said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CASES)
def test_a_thought_that_did_not_end_is_no_answer(name: str, kind: str) -> None:
    thought, _, _, question = KINDS[kind]
    whole = CASES[name].reply
    with ScriptedModel.from_texts({"7": 1}, reasoning=form_of(name)) as model:
        options = AskOptions(decoder=Greedy(), kind=kind)
        prompt = PreparedPrompt.of(model, question, options)
        reader = PathReader(
            model, question, prompt.kind, prompt.stops, prompt.form, prompt.thoughts
        )
        path = [*model.tokenize(whole[: whole.index(THOUGHT)] + thought), END]
        assert reader.read_path(path, prompt.reading_kind) is None
        assert not reader.ends(path)


@pytest.mark.parametrize("name", CASES)
def test_a_schema_holds_after_the_thought(name: str) -> None:
    form, whole = form_of(name), CASES[name].reply
    begun = whole[: whole.index(THOUGHT)]
    # The grammar begins right behind the end of the thought, as the template writes it.
    text = f'{begun}Is it {{"total": 5}}?{form.closing_text}{{"total": 7}}'
    result = asked(name, text, "How many?", schema=SCHEMA, decoder=Greedy())
    assert result.answer is not None
    assert json.loads(result.answer) == {"total": 7}
    assert result.reasoning == 'Is it {"total": 5}?'


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_answer_that_max_tokens_cuts_off_is_none(name: str, kind: str) -> None:
    thought, said, _, question = KINDS[kind]
    whole = CASES[name].reply
    # Of what is written between the thought's end and the answer, spaces alone take its tokens.
    between = whole[: whole.index(ANSWER)].rpartition(form_of(name).closing)[2]
    decoder = Greedy(max_tokens=len("" if form_of(name).answer else between) + 3)
    result = asked(name, reply(name, thought, said), question, kind=kind, decoder=decoder)
    assert (result.answer, result.reasoning) == (None, thought)
    assert result.tree is not None
    (leaf,) = result.tree.leaves
    assert leaf.finish == "length"
    assert said.startswith(leaf.text.strip())
    assert len(leaf.text.strip()) == 3


@pytest.mark.parametrize("name", [name for name in CASES if form_of(name).answer])
def test_the_header_of_an_answer_is_none_of_it(name: str) -> None:
    form = form_of(name)
    with ScriptedModel.from_texts({"7": 1}, reasoning=form) as model:
        prompt = [] if form.prompt == "free" else model.tokenize(form.opening)
        thoughts = Thoughts(model, form, prompt, limit=9)

        def start(text: str) -> int | None:
            return thoughts.answer_start(model.tokenize(text))

        whole = CASES[name].reply
        said = whole.index(ANSWER)
        closed = whole.index(form.closing) + len(form.closing)
        for end in range(len(whole)):
            begins = start(whole[:end])
            assert begins == (said if end >= said else None), whole[:end]
        # Another text is an answer without a header, and one without a thought may have it too.
        assert start(f"{whole[:closed]}It is 7") == closed
        if form.prompt == "free":
            assert start(f"{whole[closed:].removeprefix(form.turn)}") == said - closed - len(
                form.turn
            )


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_thought_that_its_limit_cuts_off_is_closed_and_answered(name: str, kind: str) -> None:
    thought, said, answer, question = KINDS[kind]
    form, whole = form_of(name), CASES[name].reply
    begun = whole[: whole.index(THOUGHT)]
    text = f"{begun}{thought[:4]}{form.closing_text}{said}{form.answer_end}"
    # What stands between the mark and the thought's first word is counted too.
    limit = 4 + len(begun.removeprefix(form.opening))
    result = asked(name, text, question, kind=kind, max_thinking_tokens=limit)
    assert (result.answer, result.reasoning) == (answer, thought[:4].strip())


@pytest.mark.parametrize("name", CASES)
def test_stop_sequences_end_answers_and_no_thoughts(name: str) -> None:
    text = reply(name, "one. two. three", "The answer is 7. Or 8.")
    result = asked(name, text, "How many?", kind="number", stop=["."], system_prompt="")
    assert (result.answer, result.reasoning) == ("7", "one. two. three")
    assert result.tree is not None
    assert result.tree.leaves[0].text.strip() == "The answer is 7"


@pytest.mark.parametrize("choice", ["auto", "any", "add"])
@pytest.mark.parametrize("name", CASES)
def test_a_call_is_one_after_the_thought_only(name: str, choice: str) -> None:
    form, whole = form_of(name), CASES[name].reply
    begun = whole[: whole.index(THOUGHT)]
    # A forced call follows where an answer's header would begin; a free one is found behind it.
    forced = replace(form, answer=form.turn, answer_end="")
    header = (form if choice == "auto" else forced).closing_text
    text = f"{begun}Is it {call(1)}?{header}{call(7)}"
    result = asked(name, text, "How many?", tools=[TOOL], tool_choice=choice)
    assert [one.arguments for one in result.tool_calls] == [{"a": 7}]
    assert result.reasoning == f"Is it {call(1)}?"
