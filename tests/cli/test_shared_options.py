"""What `ask` takes, `gate ask` takes too, and `score` what applies to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from et_agent import EntropyTree, Greedy, MultiChain
from et_agent.cli.decoders import CHAINS, TREE, ChosenDecoder
from et_agent.cli.main import app
from tests.cli.conftest import Install, Run
from tests.cli.test_pages import data_of
from tests.cli.test_thinking import FORM
from tests.cli.test_thinking import TEXTS as THOUGHT

TEXTS = {"\\boxed{Paris}": 0.5, "\\boxed{The capital is Paris}": 0.5}
CAPITAL = "What is the capital?"


def options(*path: str) -> dict[str, Any]:
    """Names of a command's options with their spelling and help."""
    found: Any = get_command(app)
    for name in path:
        found = found.commands[name]
    return {
        one.name: (one.opts, one.help)
        for one in found.get_params(found.make_context("x", [], resilient_parsing=True))
        if one.param_type_name == "option" and not one.hidden
    }


def test_a_gate_asks_with_all_options_of_ask() -> None:
    asked, gated = options("ask"), options("gate", "ask")
    # One question, whose tree stands below the decision and whose label goes to `gate label`.
    own = {"questions_file", "as_ready", "engine", "ray_address", "learn", "tree", "as_json"}
    assert asked.keys() - gated.keys() == own - {"tree", "as_json"}
    for name in asked.keys() - own:
        assert gated[name] == asked[name]


def test_a_score_takes_what_concerns_the_question_the_model_and_the_tree() -> None:
    asked, scored = options("ask"), options("score")
    shown = {"schema", "alternatives", "html", "svg", "png", "tree", "explain", "learn"}
    several = {"questions_file", "as_ready", "engine", "ray_address"}
    assert asked.keys() - scored.keys() == shown | several | {"attention"}
    for name in (asked.keys() & scored.keys()) - {"system", "as_json"}:
        assert scored[name] == asked[name]


@pytest.mark.parametrize(("same", "shares"), [("words", [0.5, 0.5]), ("tests", [1.0])])
def test_a_gate_joins_answers_as_told(
    run: Run, install: Install, same: str, shares: list[float]
) -> None:
    install(TEXTS)
    shown = run("gate", "ask", CAPITAL, "--temperature", "1", "--same", same, "--json")
    found = [one["share"] for one in json.loads(shown.out)["alternatives"]]
    assert found == pytest.approx(shares, abs=0.1)


@pytest.mark.parametrize(("same", "agreement"), [("words", 0.5), ("tests", 1.0)])
def test_a_score_joins_answers_as_told(
    run: Run, install: Install, same: str, agreement: float
) -> None:
    install(TEXTS)
    samples = ("--sample", "Paris", "--sample", "The capital is Paris")
    shown = run(
        *("score", "--question", CAPITAL, "--answer", "Paris", "--kind", "text", "--json"),
        *(*samples, "--same", same),
    )
    assert json.loads(shown.out)["agreement"] == pytest.approx(agreement)


def test_a_score_is_of_answers_with_or_without_thoughts(run: Run, install: Install) -> None:
    call = ("score", "--question", "How many?", "--answer", "6", "--decoder", "greedy", "--json")
    own = []
    for more in ((), ("--thinking", "off")):
        install(THOUGHT, reasoning=FORM)
        own.append(json.loads(run(*call, *more).out)["own_answer"])
    assert own == ["4", "6"]


def test_scores_under_other_settings_are_not_mixed(
    run: Run, install: Install, tmp_path: Path
) -> None:
    answers, out = tmp_path / "a.jsonl", tmp_path / "scores.jsonl"
    answers.write_text(json.dumps({"question": CAPITAL, "answer": "Paris", "samples": ["Paris"]}))
    call = ("score", "--file", str(answers), "--out", str(out))
    install(TEXTS)
    assert run(*call).code == 0
    install(TEXTS)
    assert run(*call, "--seed", "0", "--calibrator", "none", "--same", "words").code == 2
    install(TEXTS)
    assert run(*call, "--seed", "0").code == 0


def test_the_page_of_a_gate_shows_its_decision(run: Run, install: Install, tmp_path: Path) -> None:
    install(TEXTS)
    html, svg, png = (tmp_path / f"tree.{one}" for one in ("html", "svg", "png"))
    shown = run(
        *("gate", "ask", CAPITAL, "--leaves", "4", "--answer-at", "0.97", "--json"),
        *("--html", str(html), "--svg", str(svg), "--png", str(png)),
    )
    assert shown.code == 3
    data = data_of(html)
    assert data["decision"] == json.loads(shown.out)
    assert (data["decision"]["action"], data["decision"]["threshold"]) == ("abstain", 0.97)
    assert data["result"]["tree"]["nodes"][1]["alternatives"]
    assert "<svg" in svg.read_text("utf-8")
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_gate_shows_the_tree_and_what_moved_the_confidence(run: Run, install: Install) -> None:
    install(TEXTS)
    shown = run("gate", "ask", CAPITAL, "--leaves", "4", "--tree", "--explain").out
    assert shown.index("abstain") < shown.index("P(correct) is between") < shown.index("Tree  ")
    refused = run("gate", "ask", CAPITAL, "--tree", "--json")
    assert refused.code == 2
    assert "ask --json --tree" in refused.err


def test_a_gate_without_a_calibrator_has_no_confidence(run: Run, install: Install) -> None:
    install(TEXTS)
    call = ("gate", "ask", CAPITAL, "--leaves", "4", "--json", "--calibrator", "none")
    assert json.loads(run(*call).out)["calibration"] is None


def test_a_seed_does_not_change_the_decoder(run: Run, install: Install) -> None:
    call = ("ask", "--kind", "long", "What are cats?", "--json")
    decoders = []
    for more in ((), ("--seed", "1")):
        install({"Cats have four legs. Cats can bark.": 1.0})
        decoders.append(json.loads(run(*call, *more).out)["decoder"])
    assert decoders[0] == decoders[1]
    assert decoders[0]["leaves"] == 6


def test_a_larger_model_takes_the_settings_that_apply() -> None:
    tree = EntropyTree(leaves=4, max_tokens=9, schedule="online", gap=3)
    chosen = ChosenDecoder(TREE, tree)
    assert chosen.of_model(served=False) == tree
    assert chosen.of_model(served=True) == MultiChain(leaves=4, max_tokens=9)
    chains = MultiChain(leaves=4)
    assert ChosenDecoder(CHAINS, chains).of_model(served=False) == EntropyTree(leaves=4)
    assert ChosenDecoder(CHAINS, chains, named=True).of_model(served=False) == chains
    assert ChosenDecoder("greedy", Greedy(), named=True).of_model(served=True) == Greedy()
    assert ChosenDecoder(TREE, None).of_model(served=True) is None
