"""Questions whose trees stop once all is decided."""

from collections.abc import Mapping
from typing import Any

import pytest

from et_agent import AskResult, EntropyTree, MultiChain, ScriptedModel, ask
from et_agent.asking.decision_rule import Compared
from et_agent.gate import Gate, GatePolicy
from et_agent.results import CalibrationReport

QUESTION = "How many legs has a cat?"
SURE = {"So \\boxed{4}": 1.0}
UNSURE = {f"So \\boxed{{{one}}}": 1 / 8 for one in range(8)}


class Rule:
    """Gives an answer from a threshold on; keeps what it was told of the confidences."""

    def __init__(
        self, answer_at: float, compared: Compared | None, escalate_from: float = 0.0
    ) -> None:
        self.answer_at, self.escalate_from = answer_at, escalate_from
        self.fields: Mapping[str, float] = {}
        self._compared = compared
        self.told: list[CalibrationReport | None] = []

    def compared(self, calibration: CalibrationReport | None) -> Compared | None:
        self.told.append(calibration)
        return self._compared


def asked(texts: Mapping[str, float], *, leaves: int = 16, **options: Any) -> AskResult:
    decoder = MultiChain(leaves=leaves, temperature=1, stop_risk=options.pop("risk", 0.0), batch=1)
    with ScriptedModel.from_texts(texts) as model:
        return ask(model, QUESTION, decoder=decoder, kind="number", **options)


def test_an_answer_is_settled_by_more_than_half_of_the_leaves() -> None:
    result = asked(SURE)
    assert (result.usage.leaves, result.answer, result.share) == (9, "4", 1.0)
    assert result.complete
    assert result.confidence is not None
    assert "9 leaves: more would hardly change what is decided" in result.notes


def test_a_risk_takes_fewer_leaves() -> None:
    sizes = [asked(SURE, risk=risk).usage.leaves for risk in (0.0, 0.01, 0.2)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]


def test_an_open_answer_takes_most_leaves() -> None:
    assert asked(UNSURE).usage.leaves > 9


def test_a_threshold_that_no_share_can_reach_is_given_up() -> None:
    rule = Rule(0.9, "share")
    result = asked(UNSURE, decides=rule)
    assert result.usage.leaves < 16
    assert result.share < 0.9
    counts = [asked(UNSURE, decides=Rule(at, "share"), seed=3).usage.leaves for at in (0.6, 0.9)]
    assert counts == sorted(counts, reverse=True)


def test_nothing_is_waited_for_if_no_answer_is_given_anyway() -> None:
    assert asked(UNSURE, decides=Rule(0.5, None)).usage.leaves == 3


@pytest.mark.parametrize("compared", ["confidence", "low"])
def test_the_confidence_is_that_of_the_result(compared: Compared) -> None:
    rule = Rule(0.999, compared)
    result = asked(SURE, decides=rule)
    assert result.usage.leaves == 3, "no confidence of the general map is so high"
    assert rule.told == [result.calibration]


def test_a_threshold_of_zero_is_about_the_answer() -> None:
    assert asked(SURE, decides=Rule(0.0, "confidence")).usage.leaves == 9


@pytest.mark.parametrize(
    "given",
    [
        {"schema": {"type": "object", "properties": {"amount": {"type": "integer"}}}},
        {
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "pay",
                        "parameters": {
                            "type": "object",
                            "properties": {"amount": {"type": "integer"}},
                        },
                    },
                }
            ]
        },
    ],
    ids=["schema", "tools"],
)
def test_fields_with_thresholds_of_their_own_have_the_whole_tree(given: dict[str, Any]) -> None:
    reply = '{"amount": 5}'
    if "tools" in given:
        reply = f'<tool_call>{{"name": "pay", "arguments": {reply}}}</tool_call>'

    def leaves(**changes: Any) -> tuple[int, str]:
        decoder = EntropyTree(schedule="rounds", leaves=10, **changes)
        seen: list[int] = []
        policy = GatePolicy(answer_at=0.3, cautious=False, fields={path: 0.78})
        with ScriptedModel.from_texts({reply: 1.0}) as model:
            decision = Gate(policy).ask(
                model,
                QUESTION,
                decoder=decoder,
                on_result=lambda result: seen.append(result.usage.leaves),
                **given,
            )
        return seen[0], decision.action

    path = "pay.amount" if "tools" in given else "amount"
    assert leaves(stop_risk=0.01) == leaves()


def test_fields_count_only_where_the_whole_answer_reaches_its_threshold() -> None:
    rule = Rule(0.999, "confidence")
    rule.fields = {"amount": 0.5}
    schema = {"type": "object", "properties": {"amount": {"type": "integer"}}}
    result = asked({'{"amount": 5}': 1.0}, decides=rule, schema=schema)
    assert result.usage.leaves == 3
    rule.fields, rule.answer_at = {"amount": 0.5}, 0.1
    result = asked({'{"amount": 5}': 1.0}, decides=rule, schema=schema)
    assert result.usage.leaves == 16
    assert asked(SURE, decides=rule, risk=0.2).usage.leaves < 9, "words have no fields"


def test_passing_on_is_decided_too() -> None:
    alone = asked(UNSURE, decides=Rule(0.99, "confidence"), risk=0.001)
    both = asked(UNSURE, decides=Rule(0.99, "confidence", escalate_from=0.1), risk=0.001)
    assert alone.usage.leaves == 3
    assert both.usage.leaves > 3


def test_without_an_answer_leaves_go_on() -> None:
    silent = {"I do not know": 1.0}
    assert asked(silent, leaves=5, decides=Rule(0.5, "share")).usage.leaves == 5


def test_trees_stop_too() -> None:
    with ScriptedModel.from_texts(SURE) as model:
        result = ask(model, QUESTION, decoder=EntropyTree(stop_risk=0.05), kind="number")
        whole = ask(model, QUESTION, decoder=EntropyTree(schedule="rounds"), kind="number")
    assert result.answer == whole.answer
    assert result.usage.leaves <= whole.usage.leaves
    assert result.decoder["stop_risk"] == 0.05
