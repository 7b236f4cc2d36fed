"""Fields with thresholds of their own: what is held to which, what is missing, what a reason says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.errors import PolicyError
from et_agent.gate import Action, DecisionLog, Gate, GatePolicy, ModelTarget
from et_agent.gate.fields import held_fields, missing_fields
from et_agent.gate.judging import judged
from et_agent.results import CalibrationReport, FieldReport
from et_agent.templates.messages import Tool
from tests.gate.conftest import resting_on

DECODER = MultiChain(leaves=2, temperature=1)


def tool(name: str, **properties: Any) -> Tool:
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def call(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


ACCOUNT = {"type": "object", "properties": {"iban": {"type": "string"}}}
TOOLS = [
    tool("pay", amount={"type": "number"}, to=ACCOUNT),
    tool("find", text={"type": "string"}),
]
PAYS = call("pay", '{"amount": 5, "to": {"iban": "DE1"}}')
ORDER = '{"total": 5, "lines": [{"price": 2}, {"price": 3}], "to": {"iban": "DE1"}}'


def said(reply: str, sure: Mapping[str, float] | None = None, **options: Any) -> AskResult:
    """A result with a confidence of 0.99 whose fields have these, or 0.9."""
    given: dict[str, Any] = options if "schema" in options else {"tools": TOOLS}
    with ScriptedModel.from_texts({reply: 1.0}) as model:
        result: AskResult = ask(model, "What is to be done?", decoder=DECODER, **given)
    fields = {path: surely(one, (sure or {}).get(path, 0.9)) for path, one in result.fields.items()}
    rests_on = resting_on("own", 0.9, largest=0.99, largest_low=0.95)
    return result.model_copy(update={"confidence": 0.99, "calibration": rests_on, "fields": fields})


def surely(field: FieldReport, confidence: float, **changes: Any) -> FieldReport:
    rests_on = resting_on("own", confidence - 0.2, largest=0.95, largest_low=0.8)
    return field.model_copy(update={"confidence": confidence, "calibration": rests_on, **changes})


def order(sure: Mapping[str, float] | None = None) -> AskResult:
    return said(ORDER, sure, schema={"type": "object"})


def policy(fields: Mapping[str, float], **changes: Any) -> GatePolicy:
    return GatePolicy(answer_at=0.5, fields=dict(fields), **changes)


def test_a_field_below_its_threshold_is_not_answered() -> None:
    result = said(PAYS, {"pay.amount": 0.93})
    decision = Gate(policy({"pay.amount": 0.95, "*.*.iban": 0.9})).resolve(result)
    assert (decision.action, decision.answer) == (Action.ABSTAIN, None)
    assert decision.doubtful_fields == ("pay.amount",)
    assert decision.reason == (
        "The confidence of 99% from your own calibrator reaches the threshold of 50%, but the field "
        "pay.amount has a confidence of 93%, which is below its threshold of 95%."
    )
    assert (decision.confidence, decision.compared, decision.threshold) == (0.99, 0.99, 0.5)
    assert decision.model_validate_json(decision.model_dump_json()) == decision


def test_fields_that_reach_their_thresholds_are_answered() -> None:
    held = policy({"pay.amount": 0.9, "*.*.iban": 0.9, "pay.to.*": 0.1})
    decision = Gate(held).resolve(said(PAYS))
    assert (decision.action, decision.doubtful_fields) == (Action.ANSWER, ())
    assert decision.reason.endswith("reaches the threshold of 50%.")


@pytest.mark.parametrize(
    ("fields", "held"),
    [
        ({"lines[*].price": 0.7}, {"lines[0].price": 0.7, "lines[1].price": 0.7}),
        (
            {"lines[1].price": 0.9, "lines[*].*": 0.7},
            {"lines[0].price": 0.7, "lines[1].price": 0.9},
        ),
        (
            {"lines[1].price": 0.5, "lines[*].*": 0.7},
            {"lines[0].price": 0.7, "lines[1].price": 0.7},
        ),
        ({"*": 0.6, "*.iban": 0.8}, {"total": 0.6, "to.iban": 0.8}),
        ({}, {}),
    ],
)
def test_which_fields_are_held_to_what(
    fields: Mapping[str, float], held: Mapping[str, float]
) -> None:
    assert {one.path: one.threshold for one in held_fields(order(), policy(fields))} == held


@pytest.mark.parametrize(
    ("reply", "fields", "missing"),
    [
        (PAYS, ["pay.amount", "find.text", "*.text"], []),
        (PAYS, ["pay.text", "pya.amount", "amount"], ["pay.text", "pya.amount", "amount"]),
        (PAYS, ["pay.*.bic", "pay.to"], ["pay.*.bic", "pay.to"]),
        ("It is \\boxed{5}", ["pay.amount", "find.text", "*.text"], []),
        ("It is \\boxed{5}", ["pya.amount"], ["pya.amount"]),
        (ORDER, ["total", "lines[*].price"], []),
        (
            ORDER,
            ["pay.amount", "*.text", "lines[2].price"],
            ["pay.amount", "*.text", "lines[2].price"],
        ),
    ],
)
def test_what_is_missing(reply: str, fields: list[str], missing: list[str]) -> None:
    result = order() if reply is ORDER else said(reply)
    held = policy(dict.fromkeys(fields, 0.1))
    assert missing_fields(result, held) == missing
    verdict = judged(result, held)
    assert (verdict.answers, verdict.doubtful_fields) == (not missing, tuple(missing))
    for path in missing:
        assert f"the answer has no field {path}, which the policy names" in verdict.why


def test_a_result_of_an_earlier_version_has_no_fields_and_is_not_answered() -> None:
    old = said(PAYS).model_copy(update={"fields": {}, "tools": ()})
    assert not judged(old, policy({"pay.amount": 0.1})).answers
    assert judged(old, policy({})).answers


def test_several_doubts_and_an_answer_below_its_own_threshold() -> None:
    result = order({"total": 0.3, "to.iban": 0.4})
    held = policy({"total": 0.7, "to.iban": 0.7, "sum": 0.1}).changed(answer_at=0.995)
    verdict = judged(result, held)
    assert verdict.doubtful_fields == ("sum", "total", "to.iban")
    assert "is below the threshold of 99.5%" in verdict.why
    assert "; also, the answer has no field sum, which the policy names, the field" in verdict.why
    assert verdict.why.endswith(
        "and the field to.iban has a confidence of 40%, which is below its threshold of 70%"
    )


@pytest.mark.parametrize(
    ("changes", "cautious", "says"),
    [
        ({}, None, None),
        (
            {},
            True,
            "a confidence of 90%, whose lower end of 70% is below its threshold of 85% (no "
            "tree of 2 leaves can reach it: at most 80%)",
        ),
        ({"calibration": resting_on("general", 0.6)}, None, "whose lower end of 60% is below"),
        ({"calibration": resting_on("general", 0.6)}, False, None),
        (
            {"calibration": None},
            None,
            "with a threshold of 85%, has no confidence",
        ),
    ],
)
def test_what_is_compared(
    changes: dict[str, CalibrationReport | None], cautious: bool | None, says: str | None
) -> None:
    result = order()
    fields = {**result.fields, "total": surely(result.fields["total"], 0.9, **changes)}
    held = policy({"total": 0.85}, cautious=cautious)
    verdict = judged(result.model_copy(update={"fields": fields}), held)
    assert verdict.answers is (says is None)
    assert says is None or says in verdict.why


def test_the_share_stands_in_where_no_confidence_counts() -> None:
    with ScriptedModel.from_texts({'{"a": 1, "b": 1}': 0.5, '{"a": 1, "b": 2}': 0.5}) as model:
        decoder = MultiChain(leaves=12, temperature=1)
        result = ask(model, "?", schema={"type": "object"}, decoder=decoder, calibrator=None)
    held = GatePolicy(answer_at=0.1, uncalibrated="share", fields={"a": 0.9, "b": 0.9})
    verdict = judged(result, held)
    assert verdict.doubtful_fields == ("b",)
    assert (
        f"the field b has a share of {result.fields['b'].share:.0%}, which is below" in verdict.why
    )


def test_an_escalation_target_is_held_to_the_same() -> None:
    held = policy({"a": 0.2, "b": 0.2}, cautious=False).changed(answer_at=0.1)
    gates = []
    for reply in ('{"a": 1, "b": 2}', '{"a": 1}'):
        with ScriptedModel.from_texts({reply: 1.0}) as model:
            target = ModelTarget(model, schema={"type": "object"}, decoder=DECODER)
            gates.append(Gate(held, escalate=target).resolve(order()))
    full, lacking = gates
    assert (full.action, full.escalated, full.doubtful_fields) == (Action.ANSWER, True, ())
    assert (lacking.action, lacking.doubtful_fields) == (Action.ABSTAIN, ("b",))


def test_a_tool_has_fields_of_its_own_by_topic() -> None:
    held = GatePolicy(answer_at=0.5, topics={"pay": {"fields": {"pay.amount": 0.95}}})
    gate = Gate(held)
    assert gate.decide(said(PAYS)).action is Action.ANSWER
    assert gate.decide(said(PAYS), topic="pay").doubtful_fields == ("pay.amount",)


def test_a_dry_run_says_what_would_have_been_doubtful(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "log.sqlite") as log:
        held = policy({"pay.amount": 0.95}, observe=True)
        decision = Gate(held, log=log).resolve(said(PAYS))
    assert (decision.action, decision.would) == (Action.ANSWER, Action.ABSTAIN)
    assert decision.doubtful_fields == ("pay.amount",)


@pytest.mark.parametrize("head", ["", "gate."])
def test_from_toml(tmp_path: Path, head: str) -> None:
    path = tmp_path / "gate.toml"
    above = "[gate]\n" if head else ""
    path.write_text(
        f'{above}answer_at = 0.8\n[{head}fields]\n"pay.amount" = 0.95\n"lines[*].price" = 1\n'
    )
    assert GatePolicy.from_toml(path).fields == {"pay.amount": 0.95, "lines[*].price": 1.0}
    path.write_text("[gate]\nanswer_at = 0.8\n[fields]\na = 0.9\n")
    with pytest.raises(PolicyError, match=r"write \[gate.fields\]"):
        GatePolicy.from_toml(path)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"a": 1.5}, "fields.a: .*less than or equal to 1"),
        ({"a": float("nan")}, "fields.a"),
        ({"a": True}, "fields.a"),
        ({"a": "0.5"}, "fields.a"),
        ({"a..b": 0.5}, "'a..b' is no path of a field: write one such as amount"),
        ({"": 0.5}, "is no path of a field"),
        (["a"], "fields"),
    ],
)
def test_what_is_no_policy(fields: Any, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        GatePolicy(answer_at=0.5, fields=fields)


def test_variables_cannot_name_fields() -> None:
    given = {"ET_AGENT_GATE_ANSWER_AT": "0.9", "ET_AGENT_GATE_FIELDS": "{}"}
    with pytest.raises(PolicyError, match="topics and fields need a TOML file"):
        GatePolicy.from_environment(given)
