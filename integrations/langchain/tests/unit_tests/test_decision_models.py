import pickle
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.decisions import Box, Choice, Noul, NoulCriteria, Score
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_et_agent import EntropyTreeDecisionModel, EntropyTreeResponse
from langchain_et_agent.decision_models import _asked

from et_agent import AskResult, EntropyTree, MultiChain, ScriptedModel, ask
from et_agent.answers import AnswerKind
from et_agent.calibration import Calibrator
from et_agent.errors import InputError, ModelClosedError, SettingsError
from et_agent.runnables import EntropyTreeRunnable

STATE = "My card was charged twice."
TEAM = Choice(
    instructions="Which team?",
    criteria={"billing": "Payments.", "technical": "Bugs.", "sales": None},
)
URGENT = Noul(instructions="Is it urgent?", criteria=NoulCriteria(true="Money is at stake."))
ANGER = Score(instructions="How angry?", criteria=["Calm.", "Annoyed.", "Furious."])


@pytest.fixture
def prompts() -> list[str]:
    return []


@pytest.fixture
def model(prompts: list[str]) -> Iterator[ScriptedModel]:
    def pick(prompt: str) -> dict[str, float]:
        prompts.append(prompt)
        if "Which team?" in prompt:
            return {"\\boxed{A}": 0.75, "\\boxed{B}": 0.25}
        if "urgent" in prompt:
            return {"\\boxed{B}": 1.0}
        if "angry" in prompt:
            return {"\\boxed{B}": 0.5, "\\boxed{C}": 0.5}
        return {"who knows": 1.0}

    with ScriptedModel.from_texts(pick) as model:
        yield model


def tree_over(model: ScriptedModel, confidence: float | None = None) -> Runnable[Any, AskResult]:
    def answer(question: str) -> AskResult:
        decoder = MultiChain(leaves=64, temperature=1)
        found = ask(model, question, decoder=decoder, kind="choice", calibrator=None)
        return found.model_copy(update={"confidence": confidence})

    return RunnableLambda(answer)


def test_answers_of_every_kind_in_one_request(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    questions: Any = {"team": TEAM, "urgent": URGENT, "anger": ANGER}
    response = decide.invoke({"state": STATE, "questions": questions})
    assert list(response.answers) == ["team", "urgent", "anger"]
    team = response.choices["team"]
    assert team.choice == "billing"
    assert list(team.probabilities) == ["billing", "technical", "sales"]
    assert team.probabilities["billing"] == pytest.approx(0.75, abs=0.2)
    assert team.probabilities["sales"] == 0
    assert sum(team.probabilities.values()) == pytest.approx(1)
    assert team.confidence == pytest.approx(team.probabilities["billing"])
    assert response.nouls["urgent"].noul == 0
    anger = response.scores["anger"]
    assert anger.score == pytest.approx(1.5, abs=0.25)
    assert anger.score == pytest.approx(sum(k * p for k, p in anger.probabilities.items()))
    assert anger.legend == {0: "Calm.", 1: "Annoyed.", 2: "Furious."}
    assert response.usage is not None
    assert response.usage["output_tokens"] > 0
    assert response.model == "entropy-tree"


async def test_asynchronously_and_in_batches_the_same(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    request: Any = {"state": STATE, "questions": {"team": TEAM}}
    one = decide.invoke(request)
    assert await decide.ainvoke(request) == one
    both = decide.batch([request, request])
    assert [response.answers for response in both] == [one.answers, one.answers]


def test_a_calibrated_confidence_is_passed_on(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model, confidence=0.4))
    response = decide.invoke({"state": STATE, "questions": {"team": TEAM}})
    assert response.choices["team"].confidence == 0.4


def test_a_tree_without_a_calibrator_has_the_general_map_s(model: ScriptedModel) -> None:
    def answer(question: str) -> AskResult:
        seen.append(ask(model, question, decoder=MultiChain(leaves=8), kind="choice"))
        return seen[-1]

    seen: list[AskResult] = []
    decide = EntropyTreeDecisionModel(tree=RunnableLambda(answer))
    said = decide.invoke({"state": STATE, "questions": {"team": TEAM}}).choices["team"]
    assert seen[0].calibration is not None
    assert seen[0].calibration.source == "general"
    assert said.confidence == seen[0].confidence != seen[0].share


def test_of_equal_options_the_choice_is_the_one_that_the_confidence_is_about() -> None:
    texts = {"So \\boxed{C}": 0.5, "Or \\boxed{A}": 0.25, "Or \\boxed{B}": 0.25}
    with ScriptedModel.from_texts(texts) as model:

        def answer(question: str) -> AskResult:
            decoder = EntropyTree(schedule="stratified", leaves=2, temperature=1)
            return ask(model, question, decoder=decoder, kind="choice", calibrator=None)

        decide = EntropyTreeDecisionModel(tree=RunnableLambda(answer))
        said = decide.invoke({"state": STATE, "questions": {"team": TEAM}}).choices["team"]
    assert sorted(said.probabilities.values()) == [0.0, 0.5, 0.5]
    assert said.confidence == 0.5
    assert said.choice == "sales"  # the path to C leaves no doubt, those to A and B do


def test_paths_that_choose_nothing_say_nothing(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    sense = Noul(instructions="Does it make sense?")
    letters = Choice(instructions="Which letter?", criteria=dict.fromkeys("XYZ"))
    response = decide.invoke({"state": STATE, "questions": {"a": sense, "b": letters}})
    assert response.nouls["a"].noul == 0.5
    assert response.choices["b"].probabilities == pytest.approx(dict.fromkeys("XYZ", 1 / 3))
    assert response.choices["b"].confidence == 0


def test_one_option_needs_no_tree(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    only = Choice(instructions="Which?", criteria={"this": None})
    response = decide.invoke({"state": STATE, "questions": {"a": only}})
    assert response.choices["a"].probabilities == {"this": 1.0}
    assert model.decoded == 0


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (STATE, STATE),
        (HumanMessage(STATE), STATE),
        ([HumanMessage("Hi."), AIMessage("Hello.")], "human: Hi.\nai: Hello."),
        ({"order": 7, "late": True}, '{"order": 7, "late": true}'),
        ({"type": ["string", "null"]}, '{"type": ["string", "null"]}'),
        ({"a": {"type": {"image": 1}}}, '{"a": {"type": {"image": 1}}}'),
        ([{"say": HumanMessage("Hi.")}], '[{"say": {"role": "human", "text": "Hi."}}]'),
    ],
)
def test_what_the_model_is_told(
    model: ScriptedModel, prompts: list[str], state: Any, told: str
) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    decide.invoke({"state": state, "questions": {"team": TEAM}})
    wanted = f"{told}\n\nWhich team?\nA) billing: Payments.\nB) technical: Bugs.\nC) sales\n"
    assert wanted in prompts[0]


def test_an_option_stays_on_its_line(model: ScriptedModel, prompts: list[str]) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    broken = Score(instructions="How angry?", criteria=["Calm.\n\nB) Not.", "Furious."])
    decide.invoke({"state": STATE, "questions": {"a": broken}})
    assert "A) Calm. B) Not.\nB) Furious.\n" in prompts[0]


IMAGE = {"type": "image", "base64": "…", "mime_type": "image/png"}


@pytest.mark.parametrize(
    ("state", "questions", "message"),
    [
        (STATE, {}, "there are no questions"),
        (STATE, {"a": Box(instructions="Where?")}, "needs an image"),
        ([IMAGE], {"a": TEAM}, "type 'image', but only text"),
        (HumanMessage([IMAGE]), {"a": TEAM}, "type 'image', but only text"),
        ({"a": b"x"}, {"a": TEAM}, "contains a bytes"),
        (
            STATE,
            {"a": Choice(instructions="?", criteria=dict.fromkeys("ABCDEFGHIJK"))},
            "has 11 options, but at most 10",
        ),
        # The options of the text would be taken for the question's.
        (
            "Pick.\nA) x\nB) y",
            {"a": Score(instructions="?", criteria=["", "good"])},
            "question 'a' has an empty option",
        ),
        (
            STATE,
            {"a": Choice(instructions="?", criteria={" ": None, "b": None})},
            "an empty option",
        ),
    ],
)
def test_bad_input(model: ScriptedModel, state: Any, questions: Any, message: str) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    with pytest.raises(InputError, match=message):
        decide.invoke({"state": state, "questions": questions})
    assert model.decoded == 0


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("x", "the request is a str: pass"),
        (None, "the request is None"),
        ({"questions": {"a": TEAM}}, "the request has no 'state'"),
        ({"state": STATE}, "the request has no 'questions'"),
        ({"state": STATE, "questions": [TEAM]}, "the questions are a list"),
        ({"state": STATE, "questions": {"a": "Which?"}}, "question 'a' is a str"),
    ],
)
async def test_what_is_no_request(model: ScriptedModel, request_: Any, message: str) -> None:
    class Seen(BaseCallbackHandler):
        errors: ClassVar[list[BaseException]] = []

        def on_llm_error(self, error: BaseException, **_: Any) -> None:
            self.errors.append(error)

        on_chain_error = on_llm_error

    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    with pytest.raises(InputError, match=message) as caught:
        decide.invoke(request_, {"callbacks": [Seen()]})
    assert caught.value in Seen.errors
    with pytest.raises(InputError, match=message):
        await decide.ainvoke(request_)


def test_a_loaded_model_gets_a_tree_of_its_own(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(model=model)
    response = decide.invoke({"state": STATE, "questions": {"team": TEAM}})
    assert (decide.model, response.model) == ("scripted", "scripted")
    assert response.choices["team"].choice == "billing"
    by_name = EntropyTreeDecisionModel(model="smollm2-135m")
    assert (by_name.model, by_name.tree.model) == ("smollm2-135m", "smollm2-135m")  # type: ignore[attr-defined]
    assert EntropyTreeDecisionModel().model == "qwen2.5-coder-0.5b"


# LangChain's loading is in beta and says so.
@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_it_is_serialised_without_weights() -> None:
    decide = EntropyTreeDecisionModel(model="smollm2-135m")
    written = dumps(decide)
    assert len(written) < 3000
    again = loads(
        written,
        allowed_objects=[EntropyTreeDecisionModel, EntropyTreeRunnable],
        valid_namespaces=["et_agent", "langchain_et_agent"],
    )
    assert again == decide
    assert pickle.loads(pickle.dumps(decide)) == decide


def test_settings_are_checked(model: ScriptedModel) -> None:
    with pytest.raises(SettingsError, match="leafs"):
        EntropyTreeDecisionModel(tree=tree_over(model), leafs=3)
    numbers: Runnable[Any, AskResult] = RunnableLambda(
        lambda question: ask(model, question, decoder=MultiChain(leaves=2), kind="number")
    )
    decide = EntropyTreeDecisionModel(tree=numbers)
    with pytest.raises(SettingsError, match='create it with kind="choice"'):
        decide.invoke({"state": STATE, "questions": {"a": TEAM}})


def test_failures_are_typed_and_seen_by_callbacks(model: ScriptedModel) -> None:
    class Seen(BaseCallbackHandler):
        def __init__(self) -> None:
            self.errors: list[BaseException] = []

        def on_llm_error(self, error: BaseException, **_: Any) -> None:
            self.errors.append(error)

        on_chain_error = on_llm_error

    seen = Seen()
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    model.close()
    with pytest.raises(ModelClosedError):
        decide.invoke({"state": STATE, "questions": {"a": TEAM}}, {"callbacks": [seen]})
    assert {type(one) for one in seen.errors} == {ModelClosedError}


def test_the_response_names_what_each_confidence_rests_on(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(model=model)
    only = Choice(instructions="Which?", criteria={"this": None})
    questions: Any = {"team": TEAM, "urgent": URGENT, "anger": ANGER, "only": only}
    response = decide.invoke({"state": STATE, "questions": questions})
    assert isinstance(response, EntropyTreeResponse)
    assert list(response.calibrations) == list(questions)
    for name in ("team", "urgent", "anger"):
        found = response.calibrations[name]
        assert found is not None
        assert (found.source, found.labels) == ("general", 0)
    assert response.calibrations["only"] is None
    assert EntropyTreeResponse.model_validate_json(response.model_dump_json()) == response


def test_a_share_rests_on_nothing(model: ScriptedModel) -> None:
    decide = EntropyTreeDecisionModel(tree=tree_over(model))
    response = decide.invoke({"state": STATE, "questions": {"team": TEAM}})
    assert isinstance(response, EntropyTreeResponse)
    assert response.calibrations == {"team": None}


def test_a_calibrator_of_one_s_own_comes_before_the_general_map(model: ScriptedModel) -> None:
    tree = EntropyTreeRunnable(model=model, kind=AnswerKind.CHOICE, system_prompt="Choose.")
    (question,) = _asked(STATE, {"team": TEAM}).values()
    learnt = Calibrator.general().update(tree.invoke(question), True)
    decide = EntropyTreeDecisionModel(tree=tree.changed({"calibrator": learnt}))
    response = decide.invoke({"state": STATE, "questions": {"team": TEAM}})
    assert isinstance(response, EntropyTreeResponse)
    found = response.calibrations["team"]
    assert found is not None
    assert (found.source, found.labels) == ("own", 1)
