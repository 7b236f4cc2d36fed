"""Settings about thoughts: the server's own, where a request says nothing of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from et_agent_server import ServerSettings, create_app
from et_agent_server.models import ServedModels

from et_agent import ScriptedModel
from et_agent.cli import main
from et_agent.errors import EtAgentError
from et_agent.templates.reasoning import ReasoningFormat
from tests.cli.test_thinking import FORM, TEXTS

from .conftest import Serve
from .support import QUESTION
from .test_commands import started  # noqa: F401

THINKS, SILENT, CUT = "4", "6", "8"
OFF = {"thinking": "off"}


@pytest.fixture
def thinker() -> Iterator[ScriptedModel]:
    with ScriptedModel.from_texts(TEXTS, reasoning=FORM) as model:
        yield model


@pytest.mark.parametrize(
    ("settings", "request_has", "answer"),
    [
        ({}, {}, THINKS),
        (OFF, {}, SILENT),
        (OFF, {"thinking": "on"}, THINKS),
        (OFF, {"template_options": {"enable_thinking": True}}, THINKS),
        ({"thinking": "on"}, OFF, SILENT),
        ({"template_options": {"enable_thinking": False}}, {}, SILENT),
        ({"max_thinking_tokens": 1}, {}, CUT),
        ({"max_thinking_tokens": 1}, {"thinking": "on"}, CUT),
        ({"max_thinking_tokens": 1}, {"max_thinking_tokens": 50}, THINKS),
        ({"thinking": "on"}, {"max_thinking_tokens": 1}, CUT),
        (OFF, {"max_thinking_tokens": 50}, THINKS),
        ({"max_thinking_tokens": 1}, OFF, SILENT),
        ({"max_thinking_tokens": 1}, {"template_options": {"enable_thinking": False}}, SILENT),
    ],
)
def test_the_server_s_settings_hold_where_a_request_says_nothing(
    serve: Serve,
    thinker: ScriptedModel,
    settings: dict[str, Any],
    request_has: dict[str, Any],
    answer: str,
) -> None:
    client = serve(thinker, leaves=1, **settings).client
    asked = {"model": "scripted", "question": QUESTION, "kind": "number", "temperature": 0}
    reply = client.post("/v1/ask", json={**asked, **request_has})
    assert reply.status_code == 200, reply.text
    assert reply.json()["result"]["answer"] == answer


def test_chats_and_scores_have_them_too(serve: Serve, thinker: ScriptedModel) -> None:
    server = serve(thinker, leaves=1, thinking="off")
    (choice,) = server.chat(temperature=0).json()["choices"]
    assert choice["message"]["content"].strip() == "So \\boxed{6}"
    (choice,) = server.chat(temperature=0, et_agent={"thinking": "on"}).json()["choices"]
    assert choice["message"]["content"] == "So \\boxed{4}"
    scored = {"model": "scripted", "question": QUESTION, "answer": "6", "kind": "number"}
    assert server.client.post("/v1/score", json=scored).json()["own_answer"] == "6"


def test_models_without_thoughts_are_left_alone(serve: Serve, thinker: ScriptedModel) -> None:
    with ScriptedModel.from_texts({"So \\boxed{7}": 1}) as plain:
        server = serve({"scripted": plain, "thinker": thinker}, leaves=1, max_thinking_tokens=1)
        (choice,) = server.chat(temperature=0).json()["choices"]
        assert choice["message"]["content"] == "So \\boxed{7}"


@pytest.mark.parametrize(
    ("form", "settings", "says"),
    [
        (None, {"thinking": "on"}, "for models that think, and none of scripted does"),
        (None, {"max_thinking_tokens": 5}, "none of scripted does"),
        (FORM, {"thinking": "off", "max_thinking_tokens": 5}, "leave one out"),
        (FORM, {"template_options": {"effort": 1}}, r"does not look at .*effort"),
        (ReasoningFormat("<think>", "</think>"), {"thinking": "off"}, "no switch for it"),
    ],
)
def test_what_no_model_can_do_is_refused_at_the_start(
    form: ReasoningFormat | None, settings: dict[str, Any], says: str
) -> None:
    with (
        ScriptedModel.from_texts({"7": 1}, reasoning=form) as model,
        pytest.raises(EtAgentError, match=says),
    ):
        create_app({"scripted": model}, ServerSettings(**settings))


def test_a_model_without_thoughts_does_not_think_with_off() -> None:
    with ScriptedModel.from_texts({"7": 1}) as model:
        (served,) = ServedModels({"scripted": model}, ServerSettings(thinking="off")).all()
    assert served.thoughts is None


def test_the_command_passes_them_on(
    started: list[Any],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from et_agent.cli import loading

    made = ScriptedModel.from_texts({"7": 1}, reasoning=FORM)
    monkeypatch.setattr(loading, "open_model", lambda *_, **__: made)
    given = ["--max-thinking-tokens", "9", "--template-option", "enable_thinking=true"]
    assert main.main(["serve", "--model", "x=y", "--thinking", "on", *given]) == 0
    ((_, settings),) = started
    assert (settings.thinking, settings.max_thinking_tokens) == ("on", 9)
    assert settings.template_options == {"enable_thinking": True}
