"""Every field of a structured answer has a share, alternatives and a confidence of its own."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask, submit
from et_agent.answers.field_paths import parse_path
from et_agent.answers.fields import ABSENT, field_key, value_at
from et_agent.asking import fields as asking_fields
from et_agent.asking.fields import read_fields
from et_agent.calibration import Calibrator, Fingerprint
from et_agent.calibration.calibrator import CalibratorFile
from et_agent.calibration.maps import Isotonic
from et_agent.results import FieldShare
from et_agent.templates.messages import Tool

STRATIFIED = EntropyTree(schedule="stratified", leaves=20, temperature=1)
OBJECT = {"type": "object"}
INVOICE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "payer": {"type": "object", "properties": {"city": {"type": "string"}}},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"price": {}}}},
        "due": {"type": ["string", "null"]},
    },
    "required": ["amount"],
}
REPLIES = {
    '{"amount": 5, "payer": {"city": "Bonn"}, "lines": [{"price": 1}], "due": null}': 0.4,
    '{"amount": 5.0, "payer": {"city": "BONN"}, "lines": [{"price": 2}], "due": null}': 0.3,
    '{"amount": 7, "payer": {"city": "Köln"}, "lines": []}': 0.2,
    '{"amount": 7, "payer": {"city": "Bonn"}, "lines": [{"price": 1}], "due": "May"}': 0.1,
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def asked(replies: Mapping[str, float] = REPLIES, **options: Any) -> AskResult:
    asks: dict[str, Any] = {"schema": INVOICE, "decoder": STRATIFIED, **options}
    with ScriptedModel.from_texts(replies) as model:
        return ask(model, "Which invoice is it?", **asks)


def others(result: AskResult, path: str) -> dict[str, Any]:
    return {
        json.dumps(one.value, ensure_ascii=False): pytest.approx(one.share, abs=0.051)
        for one in result.fields[path].alternatives
    }


def test_the_fields_of_the_answer_that_is_shown() -> None:
    result = asked()
    fields = result.fields
    assert {path: one.value for path, one in fields.items()} == {
        "amount": 5,
        "payer.city": "Bonn",
        "lines[0].price": 1,
        "due": None,
    }
    shares = {path: one.share for path, one in fields.items()}
    wanted = {"amount": 0.7, "payer.city": 0.8, "lines[0].price": 0.5, "due": 0.7}
    assert shares == pytest.approx(wanted, abs=0.051)
    assert others(result, "amount") == {"7": 0.3}
    assert others(result, "payer.city") == {'"Köln"': 0.2}
    assert others(result, "lines[0].price") == {"2": 0.3, "null": 0.2}
    assert others(result, "due") == {"null": 0.2, '"May"': 0.1}, "null here: the field is missing"
    for one in fields.values():
        assert one.confidence is not None
        assert one.interval is not None
        assert one.interval[0] <= one.confidence <= one.interval[1]
    assert AskResult.model_validate_json(result.model_dump_json()) == result


def test_a_field_on_which_leaves_agree_is_surer_than_the_answer() -> None:
    result = asked()
    assert result.confidence is not None
    sure, unsure = result.fields["payer.city"], result.fields["lines[0].price"]
    assert sure.confidence is not None
    assert unsure.confidence is not None
    assert sure.confidence > unsure.confidence > 0
    assert sure.confidence > result.confidence
    assert sure.calibration is not None
    assert result.calibration is not None
    assert sure.calibration.source == "general"
    assert sure.calibration.notes == result.calibration.notes


def test_a_value_of_a_minority_is_judged_by_its_own_share() -> None:
    replies = {f'{{"a": 1, "b": {n}}}': 0.1 for n in range(5)} | {'{"a": 2, "b": 9}': 0.2}
    replies |= {'{"a": 2, "b": 8}': 0.2, '{"a": 3, "b": 7}': 0.1}
    result = asked(replies, schema=OBJECT)
    assert json.loads(result.answer or "")["a"] == 2
    field = result.fields["a"]
    assert field.share == pytest.approx(0.4, abs=0.051)
    assert field.alternatives[0].value == 1
    assert field.alternatives[0].share > field.share
    assert field.confidence is not None
    assert field.confidence <= 0.6


PAY: Tool = {
    "type": "function",
    "function": {
        "name": "pay",
        "parameters": {
            "type": "object",
            "properties": {"amount": {"type": "number"}, "to": {"type": "string"}},
            "required": ["amount"],
        },
    },
}
STOP: Tool = {"type": "function", "function": {"name": "stop"}}


def call(name: str, arguments: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {arguments}}}</tool_call>'


@pytest.mark.parametrize(
    "reply",
    [
        call("pay", '{"amount": 5, "to": "Zoë"}'),
        "Fine. " + call("pay", '{"amount": 5, "to": "Zoë"}'),
        '```json\n{"name" : "pay", "arguments" : {"amount": 5, "to": "Zoë"}}',
    ],
)
def test_the_arguments_of_a_call(reply: str) -> None:
    replies = {
        reply: 0.5,
        call("pay", '{"amount": 50, "to": "Zoë"}'): 0.2,
        call("pay", '{"amount": 5}'): 0.1,
        call("stop", "{}"): 0.1,
        "It is \\boxed{5}": 0.1,
    }
    result = asked(replies, schema=None, tools=[PAY, STOP])
    assert result.tools == ("pay", "stop")
    assert {path: one.value for path, one in result.fields.items()} == {
        "pay.amount": 5,
        "pay.to": "Zoë",
    }
    shares = {path: one.share for path, one in result.fields.items()}
    assert shares == pytest.approx({"pay.amount": 0.6, "pay.to": 0.7}, abs=0.051)
    assert others(result, "pay.amount") == {"50": 0.2, "null": 0.2}
    assert others(result, "pay.to") == {"null": 0.3}


def test_a_call_without_arguments_is_a_field() -> None:
    result = asked({call("stop", "{}"): 1.0}, schema=None, tools=[PAY, STOP])
    assert {path: one.value for path, one in result.fields.items()} == {"stop": {}}


@pytest.mark.parametrize("options", [{}, {"tools": [PAY]}])
def test_an_answer_in_words_has_none(options: dict[str, Any]) -> None:
    replies = {"It is \\boxed{5}": 0.9, call("pay", '{"amount": 5}'): 0.1}
    assert asked(replies, schema=None, **options).fields == {}


def test_no_answer_has_none() -> None:
    assert asked(decoder=MultiChain(leaves=3, max_tokens=9)).fields == {}


@pytest.mark.parametrize(
    ("schema", "reply", "fields"),
    [
        ({"type": "integer"}, "7", {"$": 7}),
        ({"type": "array", "items": {"type": "integer"}}, "[7, 8]", {"[0]": 7, "[1]": 8}),
        (OBJECT, "{}", {"$": {}}),
        ({"type": ["object", "null"]}, "null", {"$": None}),
        (OBJECT, '{"a.b": 1, "": [[]]}', {'["a.b"]': 1, '[""][0]': []}),
    ],
)
def test_unusual_answers(schema: dict[str, Any], reply: str, fields: dict[str, Any]) -> None:
    result = asked({reply: 1.0}, schema=schema)
    assert {path: one.value for path, one in result.fields.items()} == fields
    assert all(one.share == 1.0 and not one.alternatives for one in result.fields.values())


def test_without_a_calibrator_there_are_shares_and_no_confidence() -> None:
    field = asked(calibrator=None).fields["amount"]
    assert (field.confidence, field.calibration, field.interval) == (None, None, None)
    assert field.share > 0.5


def test_a_calibrator_of_ones_own_judges_fields_too() -> None:
    document = CalibratorFile(
        created="2026-01-01",
        fingerprint=Fingerprint.of_result(asked().model_dump(mode="json")),
        data=(),
        method="isotonic",
        losses={},
        held_out={},
        mapping=Isotonic(feature="share", knots=(-5.0, 5.0), values=(0.0, 1.0)),
    )
    result = asked(calibrator=Calibrator.from_json(document.model_dump_json()))
    found = [one.calibration and one.calibration.source for one in result.fields.values()]
    assert found == ["own"] * 4
    confidences = {path: one.confidence for path, one in result.fields.items()}
    by_share = sorted(result.fields, key=lambda path: result.fields[path].share)
    assert sorted(confidences, key=lambda path: confidences[path] or 0) == by_share
    unfitted = asked(calibrator=Calibrator())
    assert all(one.confidence is not None for one in unfitted.fields.values())


def test_of_values_that_all_leaves_give_the_likelier_tokens_are_surer() -> None:
    """Each field has the same share; only its own tokens tell them apart."""
    said = {'{"sure": 1, "lucky": ' + f"{n}, " + '"b": 2}': 0.1 for n in range(10)}
    with ScriptedModel.from_texts(said) as model:
        single = ask(model, "?", schema=OBJECT, decoder=Greedy())
    sure, lucky = single.fields["sure"], single.fields["lucky"]
    assert sure.share == lucky.share == 1.0
    assert sure.confidence is not None
    assert lucky.confidence is not None
    assert sure.confidence > lucky.confidence + 0.1


def test_the_general_map_for_fields_judges_them_and_not_the_answer() -> None:
    replies = {call("pay", '{"amount": 5}'): 0.7, call("pay", '{"amount": 50}'): 0.3}
    for result in (asked(), asked(replies, schema=None, tools=[PAY])):
        assert result.kind is not None
        of_fields, of_answers = (
            Calibrator.general(0, of_fields=which).largest(20, result.kind)[0]
            for which in (True, False)
        )
        assert of_fields != pytest.approx(of_answers), "or the test cannot tell them apart"
        assert result.calibration is not None
        assert result.calibration.largest == pytest.approx(of_answers)
        assert result.fields
        for field in result.fields.values():
            assert field.calibration is not None
            assert field.calibration.largest == pytest.approx(of_fields)


def test_a_field_whose_tokens_are_not_known_is_judged_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(tree: Any, reading: Any, wanted: Any, token_bytes: Any) -> tuple[Any, Any]:
        nothing = np.full((len(reading.bodies), len(wanted)), np.nan)
        return nothing, nothing

    monkeypatch.setattr(asking_fields, "_statistics", unknown)
    result = asked()
    general = Calibrator.general(0)
    for field in result.fields.values():
        assert field.confidence is not None
        assert field.calibration is not None
        assert field.calibration.largest == pytest.approx(general.largest(20, "json")[0])


def test_the_general_map_that_is_passed_judges_fields_as_fields() -> None:
    found = asked().fields
    passed = asked(calibrator=Calibrator.general()).fields
    assert {path: one.confidence for path, one in passed.items()} == pytest.approx(
        {path: one.confidence for path, one in found.items()}
    )
    for one in passed.values():
        assert one.calibration is not None
        assert one.calibration.source == "general"


def test_what_is_too_much_is_left_out_and_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking_fields, "MOST_FIELDS", 3)
    result = asked({'{"a": [1, 2, 3, 4], "b": 5}': 1.0}, schema=OBJECT)
    assert list(result.fields) == ["a[0]", "a[1]", "a[2]"]
    assert "the answer has 5 fields: the first 3 have" in " ".join(result.notes)


def test_the_probability_of_a_fields_own_tokens() -> None:
    replies = {'{"a": "Zoë", "b": 25}': 0.6, '{"a": "Zoë", "b": 35, "c": 1}': 0.4}
    with ScriptedModel.from_texts(replies) as model:
        pending = submit(model, "?", schema=OBJECT, decoder=MultiChain(leaves=9, temperature=1))
        run = pending.request.result()
        reading = pending.reading()
        leaves = pending.leaves(reading)
        found = read_fields(run.tree, reading, leaves, model.token_bytes)
    (name, number, *rest) = found.fields
    assert np.allclose(name.leaves.answer_log_prob, 0.0)
    assert np.allclose(name.leaves.answer_margin, 1.0)
    said = {"25": math.log(0.6), "35": math.log(0.4)}
    wanted = [said["25" if '"b": 25' in text else "35"] for text in reading.texts]
    assert np.allclose(number.leaves.answer_log_prob, wanted)
    assert np.allclose(number.leaves.answer_margin, 0.6), "0.2 and 1"
    for other in rest:  # only where it stands
        assert np.isnan(other.leaves.answer_log_prob).sum() == sum(
            '"c"' not in text for text in reading.texts
        )


def test_a_single_path() -> None:
    result = asked(decoder=Greedy())
    assert [one.share for one in result.fields.values()] == [1.0] * 4
    assert all(one.confidence is not None for one in result.fields.values())


names = st.sampled_from(["a", "b", "c", "d.e"])
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 3)
    | st.sampled_from(["x", "X", "y 1", "é", 0.5, 2.0]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(names, values, max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.lists(records, min_size=1, max_size=4), st.integers(0, 9))
def test_shares_sum_to_1_and_a_field_is_never_less_than_the_answer(
    given_records: list[dict[str, Any]], seed: int
) -> None:
    replies = {
        json.dumps(one, ensure_ascii=False): (2.0 + number) / 20
        for number, one in enumerate(given_records)
    }
    replies = {text: part / math.fsum(replies.values()) for text, part in replies.items()}
    result = asked(replies, schema=OBJECT, seed=seed, calibrator=None)
    assert result.tree is not None
    leaves = [(leaf.weight, leaf.answer and json.loads(leaf.answer)) for leaf in result.tree.leaves]
    for path, field in result.fields.items():
        assert field.share >= result.share
        total = math.fsum((field.share, *(one.share for one in field.alternatives)))
        assert total == pytest.approx(1.0, abs=1e-9)
        assert all(isinstance(one, FieldShare) for one in field.alternatives)
        assert [one.share for one in field.alternatives] == sorted(
            (one.share for one in field.alternatives), reverse=True
        )
        said = [(weight, value_at(one, parse_path(path))) for weight, one in leaves]  # type: ignore[arg-type]
        agree = math.fsum(
            weight
            for weight, one in said
            if one is not ABSENT and field_key(one) == field_key(field.value)
        )
        assert field.share == pytest.approx(agree, abs=1e-9)
