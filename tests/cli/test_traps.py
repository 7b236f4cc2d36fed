"""What is said at the start, and in the words of the command."""

import json
import re
from pathlib import Path

import pytest

from et_agent.cli.parameters import options_of
from et_agent.cli.spelling import with_options
from et_agent.config import VARIABLES
from et_agent.decoding import Greedy
from et_agent.errors import SettingsError
from et_agent.evaluation.decoders import parse_decoder
from et_agent.results import AskResult
from tests.cli.conftest import Install, Run
from tests.tiny_models import tiny_model

QUESTION = "How many clips were sold?"
TREE = ("--temperature", "1")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ask", "--thinking", "off", "--max-thinking-tokens", "5"), "--thinking off has none"),
        (("ask", "--alternatives", "99"), "--alternatives is 99"),
        (("ask", "--chat", "plain", "--template-option", "a=1"), "use --chat model"),
        (("gate", "ask", "--answer-at", "2"), "--answer-at: Input should be less"),
        (("ask", "--temperature", "0", "--leaves", "4"), "leave out --leaves"),
    ],
)
def test_errors_name_options(run: Run, arguments: tuple[str, ...], says: str) -> None:
    shown = run(*arguments, QUESTION)
    assert shown.code == 2
    assert says in shown.err


def test_names_become_options_only_where_they_are_names() -> None:
    options = {"max_tokens": "--max-tokens", "chat": "--chat", "system_prompt": "--system"}
    assert with_options("chat is 'x'", options) == "--chat is 'x'"
    assert with_options("a chat needs chat='model'", options) == "a chat needs --chat model"
    assert with_options("raise max_tokens", options) == "raise --max-tokens"
    told = "config.toml: max_tokens is missing"
    assert with_options(told, options) == told, "a file has keys, not options"
    assert with_options("see ./max_tokens.csv", options) == "see ./max_tokens.csv"


def test_a_message_of_typer_has_no_leftovers(run: Run) -> None:
    shown = run("ask", "--kind", "poem", QUESTION)
    assert shown.code == 2
    assert "Value error" not in shown.err


def test_case_does_not_matter(run: Run, install: Install) -> None:
    install()
    shown = run("ask", *TREE, "--json", "--kind", "Number", "--same", "TESTS", QUESTION)
    assert shown.code == 0, shown.err


def test_a_temperature_of_zero_is_greedy(run: Run, install: Install) -> None:
    install()
    result = AskResult.model_validate_json(run("ask", "--temperature", "0", "--json", QUESTION).out)
    assert result.decoder["name"] == "Greedy"
    for spec in ("entropy-tree", "multi-chain:leaves=4"):
        assert parse_decoder(spec, temperature=0.0, max_tokens=7) == Greedy(max_tokens=7)
    with pytest.raises(SettingsError):
        parse_decoder("entropy-tree", temperature=-1.0)


def test_an_escalation_is_checked_before_anything_is_decoded(
    run: Run, install: Install, tmp_path: Path
) -> None:
    model = install()
    unknown = run("gate", "ask", "--escalate-to", "nosuch", QUESTION)
    assert unknown.code == 2
    assert "--escalate-to: Unknown model" in unknown.err
    base = tiny_model(tmp_path, "llama")
    told = base.read_bytes()
    base.write_bytes(told.replace(b"tokenizer.chat_template", b"tokenizer.chat_tempLate"))
    untold = run("gate", "ask", "--escalate-to", str(base), QUESTION)
    assert untold.code == 2
    assert f"--escalate-to: {base.stem} is a model without a chat template" in untold.err
    assert model.decoded == 0


def test_an_unsure_answer_is_no_answer_in_a_box(run: Run, install: Install) -> None:
    install({f"\\boxed{{{number}}}": 1 / 12 for number in range(12)})
    shown = run(
        "ask", *TREE, "--kind", "number", "--decoder", "multi-chain", "--leaves", "12", QUESTION
    )
    assert shown.out.count("not sure") == 1, "the box says it once"
    assert re.search(r"─ not sure ─.*\n│  perhaps \d+ ", shown.out)
    assert "─ answer ─" not in shown.out


@pytest.mark.parametrize(
    ("more", "heading"), [((), "share of the paths"), (("--explain",), "p(a|x)")]
)
def test_a_file_has_the_whole_answer(
    run: Run, install: Install, more: tuple[str, ...], heading: str
) -> None:
    words = " ".join(f"word{number}" for number in range(12))
    install({f"\\boxed{{{words}}}": 1.0})
    shown = run("ask", *TREE, "--kind", "text", "--leaves", "2", *more, "Say?").out
    table = shown.partition(heading)[2].partition("\n\n")[0]
    assert all(f"word{number}" in table for number in range(12))


def test_an_explanation_adds_up(run: Run, install: Install) -> None:
    install()
    shown = run("ask", *TREE, "--explain", "--kind", "number", QUESTION).out
    rows = shown.split("which says")[1].splitlines()
    figures = [
        float(word)
        for row in rows
        for word in row.split()
        if word[0] in "+-"
        and word[1:].replace(".", "").isdigit()
        and word.count(".") == 1
        and len(word.partition(".")[2]) == 2
    ]
    *parts, total = figures
    assert "an average answer" in shown
    assert sum(parts) == pytest.approx(total, abs=0.02 * len(parts))


def test_answers_come_in_order_as_json_and_as_they_end_otherwise(
    run: Run, install: Install
) -> None:
    questions = ("one?", "two?", "three?")
    for more in ((), ("--as-ready",)):
        install()
        lines = run("ask", *TREE, "--json", *more, *questions).out.splitlines()
        asked = [json.loads(line)["question"] for line in lines]
        assert asked == list(questions) if not more else set(asked) == set(questions)
    install()
    shown = run("ask", *TREE, *questions)
    assert all(f"#{number} " in shown.out for number in (1, 2, 3))


def test_every_variable_is_listed(run: Run) -> None:
    shown = run("config", "env").out
    assert all(name in shown for name in VARIABLES)
    assert set(json.loads(run("config", "env", "--json").out)) == set(VARIABLES)


def test_options_of_a_function_are_those_of_its_command() -> None:
    from et_agent.cli.ask import ask

    found = options_of(ask)
    assert found["system_prompt"] == "--system"
    assert found["template_options"] == "--template-option"
    assert found["stop_above"] == "--stop-above"
