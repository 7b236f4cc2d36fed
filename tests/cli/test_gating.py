import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from et_agent import MultiChain, ScriptedModel
from et_agent.gate import (
    EARLY,
    Action,
    Decision,
    DecisionLog,
    Gate,
    GatePolicy,
    Review,
    ReviewedCall,
)
from et_agent.uncertainty.self_evaluation import ANSWERABLE
from tests.cli.conftest import TEXTS, Install, Run
from tests.cli.test_calibration import data, fitted, store

__all__ = ["data", "fitted", "store"]


@pytest.fixture
def log(tmp_path: Path) -> tuple[str, str]:
    """A log of one answer, and its trace id."""
    path = tmp_path / "decisions.sqlite"
    policy = GatePolicy(answer_at=0.3, cautious=False)
    with ScriptedModel.from_texts(TEXTS) as model, DecisionLog(path) as opened:
        gate = Gate(policy, log=opened)
        decision = gate.ask(model, "How many?", decoder=MultiChain(leaves=8), kind="number")
    return str(path), decision.trace_id


def test_the_report_tells_what_people_decided(run: Run, log: tuple[str, str]) -> None:
    path, _ = log
    calls = tuple(
        ReviewedCall(name="pay", review=one, proposed={}, run=None)
        for one in (Review.REJECTED, Review.REJECTED, Review.RESPONDED)
    )
    assert "a person" not in run("gate", "report", "--log", path).out
    decision = Decision(
        action=Action.ESCALATE,
        answer=None,
        threshold=0.5,
        reason="?",
        question="?",
        trace_id="1",
        reviews=calls,
    )
    with DecisionLog(path) as opened:
        opened.record(decision)
    shown = run("gate", "report", "--log", path).out
    assert "tool calls that a person decided about: rejected 2, responded 1\n" in shown


def test_report_and_label(run: Run, log: tuple[str, str]) -> None:
    path, trace = log
    first = run("gate", "report", "--log", path)
    assert first.code == 0, first.err
    assert "1 decision\n" in first.out
    assert "error among its own answers: unknown" in first.out
    assert "confidences by what they rest on: general 1\n" in first.out
    assert run("gate", "label", trace, "wrong", "--log", path).code == 0
    shown = run("gate", "report", "--log", path).out
    assert "error among its own answers: 100.0% (1 of 1 labelled)" in shown
    assert run("gate", "label", trace, "perhaps", "--log", path).code == 2
    assert "no decision" in run("gate", "label", "nobody", "right", "--log", path).err
    assert "does not exist" in run("gate", "report", "--log", path + "x").err


def test_simulation_over_a_stored_run(
    run: Run, install: Install, fitted: str, store: str, tmp_path: Path
) -> None:
    picture = str(tmp_path / "risk.png")
    shown = run(
        *["gate", "simulate", fitted, "--target-error", "0.4", "--answer-at", "0.5"],
        *["--splits", "20", "--out", picture, "--store", store],
    )
    assert shown.code == 0, shown.err
    assert " right, confidence of the own calibrator\n" in shown.out
    assert "the own calibrator was fitted on questions of " in shown.out
    assert "at 0.50 or above: " in shown.out
    assert "error at most 0.4: " in shown.out
    assert re.search(
        r"on all of them, 0\.\d\d qualifies: it rests on (\d+ of )?90 labelled questions, \d+ wrong: "
        r"the error is at most 0\.4 with probability 0\.95\n",
        shown.out,
    )
    assert Path(picture).read_bytes()[1:4] == b"PNG"
    raw = run("gate", "simulate", fitted, "--calibrator", "none", "--splits", "5", "--store", store)
    assert "share, not calibrated" in raw.out
    assert "was fitted on" not in raw.out


def test_simulation_without_a_calibrator_compares_as_a_gate_does(
    run: Run, install: Install, fitted: str, store: str
) -> None:
    simulate = ["gate", "simulate", fitted, "--calibrator", "general", "--store", store]
    figures = ["--splits", "5", "--answer-at", "0.5", "--answer-at", "0.99"]
    cautious = run(*simulate, *figures)
    assert cautious.code == 0, cautious.err
    assert " right, lower end of the confidence of the general map\n" in cautious.out
    assert re.search(r"at 0.99 .*\n    no tree of 6 leaves reaches more than 0\.\d", cautious.out)
    plain = run(*simulate, *figures, "--not-cautious")
    assert " right, confidence of the general map\n" in plain.out
    assert re.search(r"at 0.99 .*\n    no tree of 6 leaves reaches more than 0\.\d", plain.out)
    own = run("gate", "simulate", fitted, "--cautious", "--splits", "5", "--store", store)
    assert " right, lower end of the confidence of the own calibrator\n" in own.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target-error", "1.5"], "is not between 0 and 1"),
        (["--splits", "0"], "--splits must be 1 or more"),
        (["--calibrator", "none.json"], "cannot be read"),
    ],
)
def test_simulations_that_cannot_be(
    run: Run, fitted: str, store: str, options: list[str], says: str
) -> None:
    shown = run("gate", "simulate", fitted, *options, "--store", store)
    assert shown.code == 2
    assert says in shown.err


SURE = {"It is \\boxed{72}": 1.0}


def sure(prompt: str) -> Mapping[str, float]:
    """The same, of a question that can be answered."""
    return {"Yes": 0.9, "No": 0.1} if ANSWERABLE in prompt else SURE


ASK = ["gate", "ask", "How many are left, in number?", "--kind", "number", "--leaves", "6"]


SHARE = ["--share", "--least-calibration", "shipped"]


def test_asking_through_a_gate(run: Run, install: Install, tmp_path: Path) -> None:
    install(SURE)
    answered = run(*ASK, *SHARE, "--answer-at", "0.7")
    assert answered.code == 0, answered.err
    assert answered.out.startswith("answer  72  100% of the share, not calibrated")
    install(TEXTS)
    path = str(tmp_path / "log.sqlite")
    kept = run(*ASK, *SHARE, "--answer-at", "0.9", "--log", path)
    assert kept.code == 3
    assert re.match(r"abstain  best answer \d+% of the share, not calibrated\n", kept.out)
    assert "below the threshold of 90%" in kept.out.replace("\n", " ")
    assert "1 decision\n" in run("gate", "report", "--log", path).out


def test_a_script_gets_the_answer_alone_or_nothing(run: Run, install: Install) -> None:
    install(SURE)
    given = run(*ASK, *SHARE, "--answer-at", "0.7", "--quiet")
    assert (given.code, given.out) == (0, "72\n")
    install(TEXTS)
    withheld = run(*ASK, *SHARE, "--answer-at", "0.9", "-q")
    assert (withheld.code, withheld.out) == (3, "")
    for other in ("--json", "--tree", "--explain"):
        refused = run(*ASK, "-q", other)
        assert refused.code == 2
        assert "--quiet prints the answer alone" in refused.err


def test_what_only_the_interval_withholds_says_how_it_is_given(run: Run, install: Install) -> None:
    install(SURE)
    cautious = run(*ASK, "--answer-at", "0.6", "--cautious")
    assert cautious.code == 3
    assert "The confidence itself reaches it: --not-cautious compares that." in cautious.out
    install(SURE)
    bold = run(*ASK, "--answer-at", "0.6", "--not-cautious")
    assert (bold.code, "reaches it" in bold.out) == (0, False)


def test_a_gate_tells_what_it_compares(run: Run, install: Install) -> None:
    def told(*more: str) -> tuple[int, str]:
        install(sure)
        shown = run(*ASK, *more)
        return shown.code, " ".join(shown.out.split())

    code, cautious = told()
    assert code == 3
    assert re.match(r"abstain best answer \d\d%, general map, \d\d to \d\d% ", cautious)
    assert re.search(
        r"comes from the general map \(no calibrator for this model\); its lower end of \d\d% is "
        r"below the threshold of 80%",
        cautious,
    )
    _, high = told("--answer-at", "0.95")
    assert re.search(r"95% \(no tree of 6 leaves can reach it: at most \d\d%\)\.", high)
    code, bold = told("--not-cautious")
    assert code == 0
    assert re.match(r"answer 72 \d\d%, general map, \d\d to \d\d% The confidence of ", bold)
    code, strict = told("--least-calibration", "own", "--answer-at", "0.1")
    assert code == 3
    assert "and the policy wants a calibrator of your own (fit one" in strict


def test_paths_are_cut_off_where_asked(run: Run, install: Install) -> None:
    install(SURE)
    short = run(*ASK, *SHARE, "--answer-at", "0.7", "--max-tokens", "4")
    assert short.code == 3
    assert "note: paths with 100% of the weight did not end within 4 tokens" in short.out
    wrong = run(*ASK, "--max-tokens", "0")
    assert wrong.code == 2
    assert "--max-tokens is 0" in wrong.err


def test_a_tree_that_stops_early_costs_less_for_the_same_decision(
    run: Run, install: Install
) -> None:
    install(SURE)
    sure = run(*ASK[:-1], "16", *SHARE, "--answer-at", "0.7", "--early")
    assert (sure.code, sure.out[:10]) == (0, "answer  72")
    costs = []
    for more in ((), ("--early",)):
        install({f"{number} it is, \\boxed{{{number}}}": 1 / 12 for number in range(12)})
        shown = run(*ASK[:-1], "16", *SHARE, "--json", *more)
        decision = Decision.model_validate_json(shown.out)
        assert decision.action.value == "abstain"
        assert ("of at most 16 leaves: no answer had more" in " ".join(decision.notes)) == bool(
            more
        )
        costs.append(decision.cost.tokens)
    assert costs[1] < 0.6 * costs[0]


def test_a_tree_that_may_stop_once_all_is_decided(run: Run, install: Install) -> None:
    costs = []
    for more in ((), ("--stop-risk", "0")):
        install({f"{number} it is, \\boxed{{{number}}}": 1 / 12 for number in range(12)})
        shown = run(*ASK[:-1], "16", *SHARE, "--answer-at", "0.9", "--json", *more)
        decision = Decision.model_validate_json(shown.out)
        assert decision.action.value == "abstain"
        costs.append(decision.cost.tokens)
    assert costs[1] <= costs[0]
    assert run(*ASK, "--stop-risk", "2").code == 2


def test_the_help_names_the_settings_that_stop_early(run: Run) -> None:
    told = " ".join(run("gate", "ask", "--help-all").out.replace("│", " ").split())
    settings = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in EARLY.items())
    assert f"the same as {settings}" in told


def test_the_answer_of_a_larger_model(run: Run, install: Install) -> None:
    install(TEXTS)
    shown = run(*ASK, "--answer-at", "0.9", "--escalate-to", "qwen2.5-coder-1.5b", "--json")
    decision = Decision.model_validate_json(shown.out)
    # The larger model is the same scripted one, so its confidence is too low again.
    assert (decision.escalated, decision.action.value) == (True, "abstain")
    assert shown.code == 3
    install(TEXTS)
    shown = run(*ASK, "--answer-at", "0.9", "--escalate-to", "qwen2.5-coder-1.5b")
    assert "\nescalated to qwen2.5-coder-1.5b\n" in shown.out


def test_a_trace_is_shown_where_a_log_has_it(run: Run, install: Install, tmp_path: Path) -> None:
    install(TEXTS)
    assert "trace" not in run(*ASK).out
    install(TEXTS)
    assert re.search(r", trace \w+$", run(*ASK, "--log", str(tmp_path / "log.db")).out.strip())


def test_policies_from_files_and_variables(
    run: Run, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "gate.toml"
    policy.write_text('answer_at = 0.1\nuncalibrated = "share"\n[topics.pay]\nanswer_at = 0.99\n')
    for more, code in (([], 0), (["--topic", "pay"], 3), (["--answer-at", "0.95"], 3)):
        install(TEXTS)
        assert run(*ASK, "--policy", str(policy), *more).code == code
    policy.write_text("answer_at = 0.9\n[gate]\nanswer_at = 0.1\n")
    misplaced = run(*ASK, "--policy", str(policy))
    assert misplaced.code == 2
    assert "answer_at stands outside the table [gate]" in misplaced.err
    monkeypatch.setenv("ET_AGENT_GATE_ANSWER_AT", "0.1")
    monkeypatch.setenv("ET_AGENT_GATE_UNCALIBRATED", "share")
    install(TEXTS)
    assert run(*ASK).code == 0
    monkeypatch.setenv("ET_AGENT_GATE_ANSWERS_AT", "0.9")
    unknown = run(*ASK)
    assert unknown.code == 2
    assert "ET_AGENT_GATE_ANSWERS_AT: there is no such variable" in unknown.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--answer-at", "2"], "--answer-at: Input should be"),
        (["--least-calibration", "none"], "--least-calibration"),
        (["--policy", "none.toml"], "cannot be read"),
        (["--topic", "search"], "no topic"),
        (["--seed", "-1"], "--seed is -1"),
        (["--keep-texts"], "add --log FILE"),
    ],
)
def test_gated_asking_that_cannot_be(
    run: Run, install: Install, options: list[str], says: str
) -> None:
    install(TEXTS)
    shown = run(*ASK, *options)
    assert shown.code == 2
    assert says in shown.err
