"""What `--explain` says of a confidence: rows that lead from an average answer to this one."""

import io
import re
from typing import Any

import pytest
from rich.console import Console

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.cli.explaining import explanation
from et_agent.results import ConfidencePart

PARTS = (
    ConfidencePart(feature="share", meaning="its share", value=1.5, log_odds=2.0),
    ConfidencePart(feature="odd", meaning="something else", value=0.1, log_odds=-0.5),
)


@pytest.fixture
def result() -> AskResult:
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        return ask(model, "How many?", decoder=MultiChain(leaves=2), kind="number")


def shown(result: AskResult, **changes: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(explanation(result.model_copy(update=changes), "within bounds"))
    return console.export_text().splitlines()


def test_each_row_says_where_the_confidence_is_by_then(result: AskResult) -> None:
    lines = shown(result, confidence=0.7, confidence_base=0.5, confidence_parts=PARTS)
    assert lines[0] == "within bounds"
    rows = [re.split(r"  +", line.strip(), maxsplit=4) for line in lines[2:]]
    assert rows == [
        ["from", "50.0%", "+0.00", "an average answer", "before this one is looked at"],
        ["up to", "88.1%", "+2.00", "share", "which part of the paths agrees"],
        ["down to 81.8%", "-0.50", "odd", "something else"],
        ["down to 70.0%", "-0.65", "doubt", "the rows above are uncertain"],
        ["is", "70.0%", "+0.85", "together"],
    ]


def test_what_is_left_of_the_sum_is_doubt_only_where_it_makes_less_sure(
    result: AskResult,
) -> None:
    part = PARTS[:1]
    more = "\n".join(shown(result, confidence=0.9, confidence_base=0.5, confidence_parts=part))
    assert "the mean of what labels allow" in more
    exact = shown(result, confidence=0.8808, confidence_base=0.5, confidence_parts=part)
    assert "doubt" not in "\n".join(exact)


def test_what_lifts_the_likeliest_option_to_a_guess_is_named() -> None:
    with ScriptedModel.from_texts({"A": 0.5, "B": 0.5}) as model:
        result = ask(model, "Is it?\nA) yes\nB) no")
    assert result.confidence == 0.5
    last, end = shown(result)[-2:]
    assert re.fullmatch(r"up to +50.0% +\+\d\.\d\d +guess +an option is no worse .*", last.strip())
    assert end.startswith("is")


def test_without_a_beginning_only_the_ways_are_told(result: AskResult) -> None:
    lines = shown(result, confidence=0.7, confidence_base=None, confidence_parts=PARTS)
    assert [line.split()[:2] for line in lines[2:]] == [["up", "+2.00"], ["down", "-0.50"]]


def test_the_rows_of_the_general_map_are_one_line_each(result: AskResult) -> None:
    lines = shown(result)
    assert lines[1].startswith("confidence ")
    rows = lines[2:]
    assert all(line.startswith(("from ", "up to ", "down to ", "is ")) for line in rows)
