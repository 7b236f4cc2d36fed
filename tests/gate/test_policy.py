from pathlib import Path

import pytest

from et_agent.calibration import Costs, RiskControl
from et_agent.errors import CalibrationError, PolicyError
from et_agent.gate import GatePolicy


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"answer_at": 1.2}, "answer_at"),
        ({"answer_at": float("nan")}, "answer_at"),
        ({"answer_at": 0.5, "escalate_from": 0.6}, "set escalate_from to answer_at or less"),
        ({"answer_at": 0.5, "answer_above": 0.6}, "no setting answer_above; .* answer_at, "),
        ({"answer_at": False}, "answer_at: true and false are no values of this setting"),
        ({"answer_at": 0.5, "escalations": True}, "escalations"),
        ({"answer_at": 0.5, "least_calibration": "none"}, "'own', 'shipped' or 'general'"),
        ({"answer_at": 0.5, "least_calibration": True}, "true and false are no values"),
        ({"answer_at": 0.5, "cautious": "perhaps"}, "cautious"),
        ({"answer_at": 0.5, "timeout": 0}, "timeout"),
        ({"answer_at": 0.5, "retries": -1}, "retries"),
        ({"answer_at": 0.5, "max_tokens": 0}, "max_tokens"),
        ({"answer_at": 0.5, "topics": {"pay": {"answer_at": 2}}}, "topic 'pay'"),
        ({"answer_at": 0.5, "topics": {"pay": {"topics": {}}}}, "topics of its own"),
        (
            {"answer_at": 0.5, "topics": {"pay": {"answers_at": 1}}},
            "'pay': .* no setting answers_at",
        ),
        ({"answer_at": 0.5, "topics": {"answer_at": 0.9}}, "topics.answer_at"),
        ({}, "answer_at"),
    ],
)
def test_unsound_policies_are_refused(fields: dict[str, object], match: str) -> None:
    with pytest.raises(PolicyError, match=match):
        GatePolicy(**fields)


def test_a_topic_changes_what_it_names_and_nothing_else() -> None:
    policy = GatePolicy(answer_at=0.7, retries=3, topics={"payment": {"answer_at": 0.95}})
    payment = policy.for_topic("payment")
    assert (payment.answer_at, payment.retries) == (0.95, 3)
    assert policy.for_topic(None) is policy
    with pytest.raises(PolicyError, match="no topic 'search'; it has: payment"):
        policy.for_topic("search")


def test_a_policy_with_other_values() -> None:
    policy = GatePolicy(answer_at=0.7, topics={"payment": {"answer_at": 0.95}})
    other = policy.changed(answer_at=0.6, observe=True)
    assert (other.answer_at, other.observe) == (0.6, True)
    assert other.topics == policy.topics
    assert policy.changed() == policy
    with pytest.raises(PolicyError):
        policy.changed(answer_at=3)


def test_a_policy_is_frozen() -> None:
    policy = GatePolicy(answer_at=0.7)
    with pytest.raises(ValueError, match="frozen"):
        policy.answer_at = 0.1  # type: ignore[misc]


@pytest.mark.parametrize("name", ["timeout", "backoff", "max_seconds"])
@pytest.mark.parametrize("seconds", [1e10, 86_401, 1e308, float("inf"), float("nan"), -1])
def test_seconds_are_such_as_a_system_can_wait(name: str, seconds: float) -> None:
    GatePolicy(answer_at=0.9, **{name: 86_400})
    with pytest.raises(PolicyError, match=name):
        GatePolicy(answer_at=0.9, **{name: seconds})


@pytest.mark.parametrize("head", ["", "[gate]\n"])
def test_from_toml(tmp_path: Path, head: str) -> None:
    path = tmp_path / "gate.toml"
    inner = "gate.topics" if head else "topics"
    path.write_text(
        f"{head}answer_at = 0.8\ncautious = true\n[{inner}.payment]\nanswer_at = 0.99\n"
    )
    policy = GatePolicy.from_toml(path)
    assert (policy.answer_at, policy.cautious) == (0.8, True)
    assert policy.for_topic("payment").answer_at == 0.99


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("answer_at = ", "cannot be read"),
        ("gate = 3", "must be a table"),
        ("answer_at = 'high'", "answer_at"),
        ("answer_at = " + "[" * 100_000, "nested too deeply"),
        ("answer_at = 1" + "0" * 5000, "cannot be read"),
        ("[Gate]\nanswer_at = 0.9", "no setting Gate"),
        ("[gate]\nanswer_above = 0.9", r"\[gate\]: .*no setting answer_above"),
        ("answer_at = 0.9\n[gate]\nanswer_at = 0.1", "answer_at .*move it below \\[gate\\]"),
        ("[gate]\nanswer_at = 0.1\n[topics.pay]\nanswer_at = 1", "write \\[gate.topics\\]"),
        ("[gate]\nanswer_at = 0.1\n[gates]\nanswer_at = 0.9", "gates is no part of a policy"),
        ("[gate]\nanswer_at = 0.1\n[gate.topics.pay]\nanswer = 1", "'pay': .*no setting answer;"),
    ],
)
def test_toml_that_is_no_policy(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=f"gate.toml.*{says}"):
        GatePolicy.from_toml(path)


def test_toml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        GatePolicy.from_toml(tmp_path / "none.toml")


def test_from_environment() -> None:
    found = GatePolicy.from_environment(
        {
            "ET_AGENT_GATE_ANSWER_AT": "0.9",
            "ET_AGENT_GATE_OBSERVE": "true",
            "ET_AGENT_GATE_CAUTIOUS": "false",
            "ET_AGENT_GATE_LEAST_CALIBRATION": "shipped",
            "PATH": "/bin",
        }
    )
    assert (found.answer_at, found.observe) == (0.9, True)
    assert (found.cautious, found.least_calibration) == (False, "shipped")
    for name, value, says in (
        ("RETRIES", "many", "retries: .*got 'many'"),
        ("ANSWERS", "1", "ET_AGENT_GATE_ANSWERS: there is no such .* ET_AGENT_GATE_ANSWER_AT, "),
        ("answer_at", "0.1", "ET_AGENT_GATE_answer_at: there is no such variable"),
        ("TOPICS", "{}", "ET_AGENT_GATE_TOPICS: .*topics and fields need a TOML file"),
    ):
        with pytest.raises(PolicyError, match=says):
            GatePolicy.from_environment(
                {"ET_AGENT_GATE_ANSWER_AT": "0.9", f"ET_AGENT_GATE_{name}": value}
            )


def test_from_a_certified_threshold() -> None:
    scores = [0.99] * 100 + [0.2] * 20
    threshold = RiskControl(0.05).fit(scores, [1] * 100 + [0] * 20).threshold_
    assert GatePolicy.from_threshold(threshold).answer_at == threshold.value


def test_from_costs() -> None:
    """A wrong answer costs 10 and escalating 2: answer where 10 (1 - p) <= 2."""
    costs = Costs(wrong=10, abstain=5, escalate=2)
    assert GatePolicy.from_costs(costs).answer_at == pytest.approx(0.8)
    with pytest.raises(CalibrationError, match="abstain"):
        Costs(wrong=10, abstain=-1)
