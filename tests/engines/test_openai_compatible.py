"""The client of OpenAI's interface, against servers that behave well and badly."""

import asyncio
import gc
import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from et_agent import AskResult, Greedy, MultiChain, ask, load_model, submit
from et_agent.engines import openai_connection
from et_agent.engines.openai_compatible import OpenAICompatibleModel
from et_agent.engines.opening import open_model
from et_agent.engines.sampled import SampledModel
from et_agent.errors import (
    EtAgentError,
    ModelClosedError,
    QuestionError,
    ServerError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.gate.limits import Limits, ask_within
from tests.engines.openai_server import (
    Body,
    OpenAIServer,
    Raw,
    Reply,
    Respond,
    choice,
    completion,
    serving,
)

CHAINS = MultiChain(leaves=4)
QUESTION = "What is 2 + 3?"
Ask = Callable[..., AskResult]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_connection, "_FIRST_PAUSE", 0.001)


def answers(*texts: str, **more: Any) -> Respond:
    """Gives these texts in turn, as many as are asked for."""
    turn = iter(range(10**6))

    def respond(body: Body) -> Reply:
        wanted = body.get("n", 1)
        return completion(*(choice(texts[next(turn) % len(texts)], **more) for _ in range(wanted)))

    return respond


@pytest.fixture
def behind() -> Iterator[Callable[..., tuple[OpenAIServer, OpenAICompatibleModel]]]:
    from contextlib import ExitStack

    with ExitStack() as stack:

        def make(
            respond: Respond, models: Reply | None = None, **settings: Any
        ) -> tuple[OpenAIServer, OpenAICompatibleModel]:
            server = stack.enter_context(serving(respond, models))
            model = stack.enter_context(OpenAICompatibleModel(server.url, **settings))
            return server, model

        yield make


Behind = Callable[..., tuple[OpenAIServer, OpenAICompatibleModel]]


def test_chains_become_a_tree_with_shares_features_and_a_confidence(behind: Behind) -> None:
    texts = ["It is \\boxed{5}."] * 3 + ["\\boxed{6}"]
    usage = {"prompt_tokens": 20, "completion_tokens": 130}

    def respond(body: Body) -> Reply:
        return completion(*map(choice, texts[: body["n"]]), usage=usage)

    server, model = behind(respond)
    assert isinstance(model, SampledModel)
    result = ask(model, QUESTION, decoder=CHAINS, seed=3)
    assert result.answer == "5"
    assert result.share == 0.75
    assert [one.answer for one in result.distribution] == ["5", "6"]
    assert result.confidence is not None
    assert result.calibration is not None
    assert result.calibration.source == "general"
    assert result.features["certainty"] is None
    assert result.features["log_prob"] == pytest.approx(-0.1)
    assert result.usage.prompt_tokens == 20
    assert result.usage.tokens_decoded == 130
    assert result.usage.steps == 1
    assert result.model.name == "tiny"
    assert any("no logits" in note for note in result.notes)
    (body,) = server.requests
    assert body["n"] == 4
    assert body["top_logprobs"] == 20
    assert body["temperature"] == CHAINS.temperature
    # NaN would not be JSON.
    assert AskResult.model_validate_json(result.model_dump_json()) == result


def test_without_a_decoder_chains_are_asked_for(behind: Behind) -> None:
    server, model = behind(answers("\\boxed{5}"))
    result = ask(model, QUESTION)
    assert result.decoder["name"] == "MultiChain"
    assert server.requests[0]["n"] == MultiChain().leaves


def test_a_greedy_question_is_one_reply_at_temperature_zero(behind: Behind) -> None:
    server, model = behind(answers("\\boxed{5}"))
    assert ask(model, QUESTION, decoder=Greedy()).answer == "5"
    (body,) = server.requests
    assert body["temperature"] == 0
    assert "n" not in body


def test_a_server_that_ignores_n_is_asked_for_each_chain_with_a_seed_of_its_own(
    behind: Behind,
) -> None:
    server, model = behind(lambda _: completion(choice("\\boxed{5}")))
    assert ask(model, QUESTION, decoder=CHAINS).usage.leaves == 4
    assert ["n" in body for body in server.requests] == [True, False, False, False]
    assert len({body["seed"] for body in server.requests}) == 4
    server.requests.clear()
    ask(model, QUESTION, decoder=CHAINS)  # what was found out stays known
    assert not any("n" in body for body in server.requests)


def test_a_server_that_gives_all_choices_one_seed_is_asked_for_each(behind: Behind) -> None:
    def respond(body: Body) -> Reply:
        text = f"By chance {body['seed']}: \\boxed{{{body['seed'] % 7}}}"
        return completion(*[choice(text, logprob=-1.0)] * body.get("n", 1))

    server, model = behind(respond)
    result = ask(model, QUESTION, decoder=CHAINS)
    assert len(server.requests) == 4
    assert len(result.distribution) > 1


def test_equal_choices_that_are_likely_count(behind: Behind) -> None:
    server, model = behind(answers("\\boxed{5}", logprob=-0.01))
    assert ask(model, QUESTION, decoder=CHAINS).usage.leaves == 4
    assert len(server.requests) == 1


def test_a_server_that_counts_one_reply_of_n_is_not_believed(behind: Behind) -> None:
    texts = ["It is \\boxed{5}."] * 3 + ["\\boxed{6}"]

    def tokens(usage: dict[str, int] | None) -> int:
        _, model = behind(
            lambda body: completion(
                *map(choice, texts[: body["n"]]), **({"usage": usage} if usage else {})
            )
        )
        return ask(model, QUESTION, decoder=CHAINS).usage.tokens_decoded

    came = tokens(None)
    assert came > 4
    assert tokens({"completion_tokens": came // 4}) == came
    assert tokens({"completion_tokens": came + 8}) == came + 8  # thoughts that are not sent


def test_choices_that_nobody_asked_for_are_left_out(behind: Behind) -> None:
    texts = [choice("\\boxed{5}")] * 4 + [choice("\\boxed{6}")] * 4
    _, model = behind(lambda _: completion(*texts, usage={"completion_tokens": 900}))
    result = ask(model, QUESTION, decoder=CHAINS)
    assert [one.answer for one in result.distribution] == ["5"]
    assert result.usage.leaves == 4
    assert result.usage.tokens_decoded < 100  # the server's count is of others too


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("n", "n > 1 is not supported"),
        ("logprobs", "logprobs is not supported with this model"),
        ("top_logprobs", "top_logprobs must be between 0 and 5"),
        ("seed", "Unrecognized request argument supplied: seed"),
        ("top_p", "unsupported parameter top_p"),
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
    ],
)
def test_what_a_server_refuses_is_left_out(behind: Behind, refused: str, message: str) -> None:
    def respond(body: Body) -> Reply:
        told = body.get(refused)
        if told is not None and not (refused == "top_logprobs" and told <= 5):
            error = {"error": {"message": message, "type": "invalid_request_error"}}
            return Raw(400, json.dumps(error).encode())
        return answers("\\boxed{5}")(body)

    server, model = behind(respond)
    assert ask(model, QUESTION, decoder=CHAINS).answer == "5"
    assert refused not in server.requests[-1] or refused == "top_logprobs"
    assert "max_tokens" in server.requests[-1] or "max_completion_tokens" in server.requests[-1]


def test_without_log_probabilities_the_votes_are_left_and_a_note_says_so(behind: Behind) -> None:
    _, model = behind(answers("It is \\boxed{5}.", "\\boxed{6}", "\\boxed{5}", logprob=None))
    result = ask(model, QUESTION, decoder=CHAINS)
    assert result.answer == "5"
    assert result.confidence is not None
    for name in ("log_prob", "answer_logprob", "certainty", "token_probability"):
        assert result.features[name] is None
    assert result.features["share"] is not None
    assert any("no log-probabilities" in note for note in result.notes)
    assert AskResult.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_no_answers(behind: Behind, field: str) -> None:
    thought = "Try \\boxed{9}."
    said: dict[str, Any] = {field: thought}
    _, model = behind(lambda _: completion(choice("So \\boxed{5}", **said)))
    result = ask(model, QUESTION, decoder=CHAINS)
    assert result.answer == "5"
    assert result.reasoning == thought
    assert result.usage.reasoning_tokens > 0
    (leaf, *_) = result.tree.leaves if result.tree is not None else ()
    assert leaf.text == "So \\boxed{5}"


@pytest.mark.parametrize("content", [None, ""])
def test_a_thought_that_was_cut_off_gives_no_answer(behind: Behind, content: str | None) -> None:
    reply = choice(content, reasoning_content="It is \\boxed{9}, or", finish="length")
    _, model = behind(lambda _: completion(reply))
    result = ask(model, QUESTION, decoder=CHAINS)
    assert result.answer is None
    assert result.cut_off_share == 1.0
    assert result.confidence is None


@pytest.mark.parametrize(
    ("content", "answer", "thought"),
    [
        ("<think>Try \\boxed{9}.</think>It is 5.", "5", "Try \\boxed{9}."),
        ("[THINK]Try \\boxed{9}.[/THINK]It is 5.", "5", "Try \\boxed{9}."),
        ("Try \\boxed{9}.\n</think>\n\nIt is 5.", "5", "Try \\boxed{9}."),
        ("<think>It is \\boxed{9}, or", None, "It is \\boxed{9}, or"),
        ("The tag `</think>` ends it: \\boxed{5}", "5", None),
    ],
)
def test_thoughts_that_a_server_leaves_in_the_text_are_no_answers(
    behind: Behind, content: str, answer: str | None, thought: str | None
) -> None:
    _, model = behind(lambda _: completion(choice(content)))
    result = ask(model, QUESTION, decoder=Greedy(), kind="number")
    assert (result.answer, result.reasoning) == (answer, thought)


def test_log_probabilities_are_those_of_the_reply_within_the_listed_tokens(
    behind: Behind,
) -> None:
    listed = ["<think>", "\\boxed{", "9}", "</think>", "\n\n", "\\boxed{", "5", "}", "<eos>"]
    made = {
        "finish_reason": "stop",
        "message": {"content": "\\boxed{5}", "reasoning_content": "\\boxed{9}"},
        "logprobs": {
            "content": [{"token": one, "logprob": -float(at)} for at, one in enumerate(listed)]
        },
    }
    _, model = behind(lambda _: completion(made))
    result = ask(model, QUESTION, decoder=MultiChain(leaves=1))
    assert result.tree is not None
    (node,) = result.tree.nodes
    assert result.answer == "5"
    assert result.features["answer_logprob"] == -6.0
    texts = [model.token_bytes(token).decode() for token in node.tokens]
    assert texts == ["\\boxed{", "9}", "", "\\boxed{", "5", "}", ""]
    assert node.log_probs == pytest.approx((-1.0, -2.0, -1.5, -5.0, -6.0, -7.0, -22.5 / 6))


def test_a_key_is_sent_and_told_nowhere(
    behind: Behind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-key"
    monkeypatch.setenv("MY_KEY", key)
    caplog.set_level(logging.DEBUG)
    failing = False

    def respond(body: Body) -> Reply:
        if failing:
            return Raw(401, json.dumps({"error": f"{'wrong' * 57} key {key}"}).encode())
        return answers("\\boxed{5}")(body)

    server, model = behind(respond, api_key_env="MY_KEY")
    result = ask(model, QUESTION, decoder=CHAINS)
    assert server.headers[-1]["Authorization"] == f"Bearer {key}"
    failing = True
    with pytest.raises(ServerError, match="MY_KEY") as raised:
        ask(model, QUESTION, decoder=CHAINS)
    told = f"{raised.value!r}{raised.value.__cause__!r}{model!r}{vars(model)!r}"
    assert key not in told + result.model_dump_json() + caplog.text


def test_no_key_is_sent_unless_its_variable_is_named(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    server, _ = behind(answers("\\boxed{5}"))
    assert "Authorization" not in server.headers[0]


@pytest.mark.fault("network that breaks off")
@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_failures_that_may_pass_are_tried_again(behind: Behind, status: int) -> None:
    replies = iter([Raw(status, b"busy"), Raw(status, b"busy", {"Retry-After": "0.01"})])
    good = answers("\\boxed{5}")
    server, model = behind(lambda body: next(replies, None) or good(body))
    assert ask(model, QUESTION, decoder=CHAINS).answer == "5"
    assert len(server.requests) == 3


@pytest.mark.fault("network that breaks off")
def test_failures_that_last_are_told(behind: Behind) -> None:
    server, model = behind(
        lambda _: Raw(503, b'{"error": {"message": "Loading model"}}'), retries=2
    )
    with pytest.raises(ServerError, match="503: Loading model"):
        ask(model, QUESTION, decoder=Greedy())
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (Raw(body=b"<html>hello</html>"), ServerError, "not JSON"),
        (Raw(body=b'{"choices": [{"mess'), ServerError, "not JSON"),
        (Raw(body=b"[" * 100_000), ServerError, "not JSON"),
        (Raw(body=b"[]"), ServerError, "not one of OpenAI's"),
        (Raw(body=b"{}"), ServerError, "choices"),
        (Raw(body=b'{"error": {"message": "overloaded", "code": 502}}'), ServerError, "overloaded"),
        (Raw(body=b'{"error": {"message": "context length exceeded"}}'), QuestionError, "context"),
        (Raw(body=b'{"choices": []}'), ServerError, "choices"),
        (Raw(body=b'{"choices": [{"message": "x"}]}'), ServerError, "message"),
        (Raw(body=b'{"choices": [{"message": {"content": 5}}]}'), ServerError, "content"),
        (
            Raw(
                body=b'{"choices": [{"message": {"content": "x"}, "logprobs": {"content": '
                b'[{"token": "x", "logprob": NaN}]}}]}'
            ),
            ServerError,
            "logprob",
        ),
        (Raw(body=b'{"choices": [{"message": {}}], "usage": {"prompt_tokens": -1}}'),
         ServerError, "usage"),
        (Raw(cut=True, body=b'{"choices": []}' * 99), ServerError, "broke off"),
        (Raw(body=b"no gzip", headers={"Content-Encoding": "gzip"}), ServerError, "broke off"),
        (Raw(302, headers={"Location": "/elsewhere"}), ServerError, "302"),
        (Raw(404, b'{"error": {"message": "no such model"}}'), UnsupportedModelError, "no such"),
        (Raw(400, b'{"error": {"message": "bad messages"}}'), UnsupportedModelError, "bad messages"),
        (
            Raw(400, b'{"error": {"code": "context_length_exceeded", "message": "too many tokens"}}'),
            QuestionError,
            "context",
        ),
    ],
)  # fmt: skip
def test_replies_that_make_no_sense_are_errors(
    behind: Behind, reply: Raw, error: type[EtAgentError], told: str
) -> None:
    _, model = behind(lambda _: reply, retries=1)
    with pytest.raises(error, match=told):
        ask(model, QUESTION, decoder=Greedy())


def test_after_an_error_the_model_answers_again(behind: Behind) -> None:
    replies = iter([Raw(body=b"{}")])
    good = answers("\\boxed{5}")
    _, model = behind(lambda body: next(replies, None) or good(body))
    with pytest.raises(ServerError):
        ask(model, QUESTION, decoder=Greedy())
    assert ask(model, QUESTION, decoder=Greedy()).answer == "5"


@pytest.mark.fault("network that hangs")
def test_a_reply_without_end_is_broken_off(behind: Behind) -> None:
    _, model = behind(lambda _: Raw(body=b" " * (5 * 2**20)))
    with pytest.raises(ServerError, match="longer than"):
        ask(model, QUESTION, decoder=Greedy(max_tokens=1))


@pytest.mark.parametrize("content", [None, ""])
def test_a_reply_that_says_nothing_is_no_answer(behind: Behind, content: str | None) -> None:
    _, model = behind(lambda _: completion(choice(content)))
    result = ask(model, QUESTION, decoder=CHAINS)
    assert result.answer is None
    assert result.confidence is None


def test_halves_of_surrogate_pairs_are_replaced(behind: Behind) -> None:
    _, model = behind(lambda _: completion(choice("\ud800 \\boxed{5}", logprob=None)))
    assert ask(model, QUESTION, decoder=CHAINS).answer == "5"


@pytest.mark.fault("network that hangs")
@pytest.mark.parametrize("reply", [Raw(before=30), Raw(body=b" " * 3000, between=0.01)])
def test_a_server_that_stalls_or_drips_is_given_up(behind: Behind, reply: Raw) -> None:
    _, model = behind(lambda _: reply, timeout=0.3)
    began = time.monotonic()
    with pytest.raises(ServerError, match=r"within 0\.3 s"):
        ask(model, QUESTION, decoder=Greedy())
    assert time.monotonic() - began < 5


def test_nobody_listens() -> None:
    with pytest.raises(ServerError, match="cannot be reached"):
        OpenAICompatibleModel("http://127.0.0.1:9/v1", retries=0)


def test_cancelling_closes_the_connection_and_keeps_what_came(behind: Behind) -> None:
    replies = iter([completion(choice("\\boxed{5}"))])
    server, model = behind(lambda _: next(replies, None) or Raw(before=30))
    pending = submit(model, QUESTION, decoder=CHAINS)
    first = time.monotonic()
    while len(server.requests) < 4:
        assert time.monotonic() - first < 10
        time.sleep(0.01)
    pending.cancel()
    result = pending.result(25)
    assert not result.complete
    assert result.answer == "5"
    assert result.confidence is None
    assert server.closed.wait(25)


@pytest.mark.fault("network that hangs")
def test_a_limit_of_time_holds_while_the_server_says_nothing(behind: Behind) -> None:
    server, model = behind(lambda _: Raw(before=30))
    began = time.monotonic()
    result = ask_within(model, QUESTION, Limits(seconds=0.3), decoder=CHAINS)
    assert time.monotonic() - began < 5
    assert not result.complete
    assert server.closed.wait(25)


def test_closing_ends_questions_that_wait(behind: Behind) -> None:
    _, model = behind(lambda _: Raw(before=30))
    pending = submit(model, QUESTION, decoder=CHAINS)
    time.sleep(0.1)
    model.close()
    with pytest.raises(ModelClosedError):
        pending.result(25)
    model.close()
    with pytest.raises(ModelClosedError):
        submit(model, QUESTION, decoder=CHAINS)


def test_a_model_that_nobody_has_any_more_ends_its_thread() -> None:
    with serving(answers("\\boxed{5}")) as server:
        model = OpenAICompatibleModel(server.url)
        ask(model, QUESTION, decoder=CHAINS)
        gone = weakref.ref(model)
        thread = model._thread._thread
        del model
        gc.collect()
        assert gone() is None
        thread.join(25)
        assert not thread.is_alive()


def test_at_most_so_many_requests_at_a_time(behind: Behind) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def respond(body: Body) -> Reply:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        return completion(choice("\\boxed{5}"))

    _, model = behind(respond, parallel=3)
    ask(model, QUESTION, decoder=MultiChain(leaves=12))
    assert 2 <= most <= 3


async def test_an_event_loop_may_wait(behind: Behind) -> None:
    _, model = behind(answers("\\boxed{5}"))
    results = await asyncio.gather(
        *(asyncio.to_thread(ask, model, QUESTION, decoder=CHAINS) for _ in range(4))
    )
    assert [one.answer for one in results] == ["5"] * 4


def test_the_only_model_needs_no_name_and_one_of_several_does(behind: Behind) -> None:
    two = {"data": [{"id": "a"}, {"id": "b:latest"}]}
    with pytest.raises(SettingsError, match="a, b:latest"):
        behind(answers("x"), two)
    _, model = behind(answers("x"), two, model="b")
    assert model.info.name == "b"


def test_a_server_without_a_list_needs_a_name(behind: Behind) -> None:
    with pytest.raises(SettingsError, match="name one"):
        behind(answers("x"), Raw(404))
    _, model = behind(answers("x"), Raw(404), model="b")
    assert model.info.name == "b"


def test_the_fingerprint_is_that_of_the_model_wherever_it_is_served(behind: Behind) -> None:
    told: Body = {"data": [{"id": "a", "created": 1, "meta": {"n_params": 7, "size": 8}}]}
    again: Body = {"data": [{"id": "a", "created": 2, "meta": {"n_params": 7, "size": 8}}]}
    other: Body = {"data": [{"id": "a", "created": 1, "meta": {"n_params": 7, "size": 4}}]}
    infos = [behind(answers("x"), one)[1].info for one in (told, again, other)]
    assert infos[0].fingerprint == infos[1].fingerprint != infos[2].fingerprint
    assert infos[0].parameters == 7


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8080/v1",
        "ftp://host/v1",
        "http://",
        "http://[::1",
        "http://\ud800/v1",
        "http://host:99999/v1",
        "http://host:-1/v1",
        "http://me:secret@host/v1",
        "http://me:secret@host:x/v1",
        "http://host/v1?key=secret",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(SettingsError, match=r"address|base_url") as raised:
        OpenAICompatibleModel(address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("address", ["http://me:secret@host/v1", "HTTPS://host/v1?key=secret#a"])
def test_no_message_carries_what_an_address_should_not_hold(address: str) -> None:
    with pytest.raises(SettingsError, match="server") as raised:
        open_model(address, context=4096)
    assert "secret" not in str(raised.value)
    with pytest.raises(SettingsError, match="server") as raised:
        load_model(address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("written", ["null", "-Infinity", "-9999.0"])
def test_a_probability_of_zero_in_any_spelling_is_not_told(behind: Behind, written: str) -> None:
    listed = f'{{"token": "5", "logprob": {written}, "top_logprobs": [{{"logprob": {written}}}]}}'
    said = '"message": {"content": "5"}, "finish_reason": "stop"'
    body = f'{{"choices": [{{{said}, "logprobs": {{"content": [{listed}]}}}}]}}'
    _, model = behind(lambda _: Raw(body=body.encode()))
    result = ask(model, QUESTION, decoder=Greedy(), kind="number")
    assert result.features["log_prob"] is None


def test_a_token_that_is_not_among_the_listed_is_less_likely_than_these(behind: Behind) -> None:
    said = choice("ab", logprob=-2.0)
    first, second = said["logprobs"]["content"]
    first["logprob"] = second["logprob"] = -9999.0
    second["top_logprobs"] = [{"token": "", "logprob": -9999.0}]
    _, model = behind(lambda _: completion(said))
    tree = ask(model, QUESTION, decoder=Greedy()).tree
    assert tree is not None
    assert tree.nodes[0].log_probs[:2] == (-2.0, None)


@pytest.mark.parametrize(
    "settings", [{"retries": -1}, {"parallel": 0}, {"timeout": 0}, {"extra_body": {"x": {1}}}]
)
def test_settings_out_of_range(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        OpenAICompatibleModel("http://localhost/v1", **settings)
