import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent import (
    AskOptions,
    AskResult,
    EntropyTree,
    Greedy,
    MultiChain,
    ScriptedModel,
    ask,
    submit,
    submit_all,
)
from et_agent.answers import AnswerKind, instruction
from et_agent.asking.conversation import check_text
from et_agent.asking.pending import PendingAnswer, Progress
from et_agent.calibration import FEATURES, Calibrator, Fingerprint, feature_columns
from et_agent.calibration.finding import save_calibrator
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.scripted import TURN
from et_agent.errors import (
    ModelClosedError,
    QuestionError,
    SettingsError,
    UnsupportedModelError,
)
from et_agent.gate import EARLY
from et_agent.templates.messages import Message, Tool
from et_agent.uncertainty.self_evaluation import ANSWERABLE

TEXTS = {
    "So \\boxed{4}": 0.4,
    "Well, the answer is 4.": 0.2,
    "So \\boxed{5}": 0.3,
    "I cannot tell": 0.1,
}
CHAINS = MultiChain(leaves=12, temperature=1)
QUESTION = "How many legs has a cat?"


def toy() -> ScriptedModel:
    return ScriptedModel.from_texts(TEXTS)


@pytest.fixture(autouse=True)
def _no_pilots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def held(model: ScriptedModel) -> threading.Event:
    event = threading.Event()
    model.submit(lambda: event.wait(10))
    return event


def test_a_question_gives_an_answer_with_its_distribution() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        result = ask(model, QUESTION, decoder=CHAINS, seed=3)
    assert result.answer == "4"
    assert result.kind == "number"
    assert {share.answer for share in result.distribution} >= {"4", "5"}
    assert sum(share.share for share in result.distribution) == pytest.approx(1.0, abs=1e-9)
    assert sum(share.leaves for share in result.distribution) == 12
    assert result.distribution[0].share == pytest.approx(result.distribution[0].leaves / 12)
    assert result.ess == pytest.approx(12)
    assert 0 < result.predictive_entropy_normalised < 1
    assert (result.calibrated, result.complete) == (False, True)
    assert result.calibration is not None
    assert result.calibration.source == "general"
    low, high = result.calibration.interval
    assert result.confidence is not None
    assert 0 < low < result.confidence < high < 1
    assert result.cut_off_share == 0.0
    assert result.usage.leaves == 12
    assert result.usage.tokens_decoded == result.usage.tokens_as_chains
    assert result.usage.steps >= 14
    assert result.usage.tokens_recomputed == 0
    assert result.decoder == {
        "name": "MultiChain",
        "leaves": 12,
        "temperature": 1.0,
        "max_tokens": 320,
    }
    assert result.instruction == instruction(AnswerKind.NUMBER)
    assert result.tree is not None
    assert len(result.tree.leaves) == 12
    assert result.notes == ()
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_the_same_seed_gives_the_same_result_alone_or_among_others() -> None:
    tree = EntropyTree(leaves=6, roots=3, tau=0.2, temperature=1)
    with ScriptedModel.from_texts(TEXTS) as model, ScriptedModel.from_texts(TEXTS) as other:
        alone = ask(model, QUESTION, decoder=tree, seed=1)
        held_back = held(other)
        pending = [submit(other, QUESTION, decoder=tree, seed=seed) for seed in range(9)]
        held_back.set()
        among = [one.result() for one in pending]
    assert among[1].tree == alone.tree
    assert among[1].distribution == alone.distribution
    assert any(one.tree != alone.tree for one in among)


def test_several_questions_come_back_in_order() -> None:
    with ScriptedModel.from_texts(lambda prompt: {prompt.strip()[-2]: 1.0}) as model:
        results = ask(model, ["Say 1?", "Say 2?", "Say 3?"], decoder=CHAINS, kind="number")
        assert [result.answer for result in results] == ["1", "2", "3"]
        nothing: list[str] = []
        assert ask(model, nothing) == []
        assert ask(model, ["Say 4?"], decoder=Greedy())[0].answer == "4"


def test_when_one_question_is_refused_nothing_is_decoded() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(QuestionError, match="empty"):
            ask(model, [QUESTION, " "], decoder=CHAINS)
        assert model.decoded == 0


def test_all_questions_are_accepted_before_one_is_decoded() -> None:
    seen: list[tuple[int, Progress]] = []
    questions = ["Say 1?", "Say 2?", "Say 3?"]
    with ScriptedModel.from_texts(lambda prompt: {prompt.strip()[-2]: 1.0}) as model:
        assert submit_all(model, []) == []
        with pytest.raises(QuestionError, match=r"^question 2: the question is empty"):
            submit_all(model, ["Say 1?", " "])
        with pytest.raises(QuestionError, match=r"^line 7: the question is empty"):
            submit_all(model, ["Say 1?", " "], names=["line 6", "line 7"])
        with pytest.raises(QuestionError, match=r"^the question is empty"):
            submit_all(model, [" "])
        assert model.decoded == 0
        pending = submit_all(
            model,
            questions,
            AskOptions(decoder=CHAINS),
            kind="number",
            on_progress=lambda index, progress: seen.append((index, progress)),
        )
        results = [one.result(20) for one in pending]
    assert [one.question for one in results] == questions
    assert [one.answer for one in results] == ["1", "2", "3"]
    last = dict(seen)
    assert {index: one.leading[0][0] for index, one in last.items()} == {0: "1", 1: "2", 2: "3"}


class Recorder(ScriptedModel):
    """Remembers the prompts of questions that it was asked to tokenise."""

    prompt: tuple[int, ...] = ()

    def chat_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: Mapping[str, Any] | None = None,
    ) -> list[int]:
        tokens = super().chat_tokens(messages, tools, options)
        if ANSWERABLE not in messages[-1]["content"]:
            self.prompt = tuple(tokens)
        return tokens

    def plain_tokens(self, text: str) -> list[int]:
        self.prompt = tuple(super().plain_tokens(text))
        return list(self.prompt)


def test_prompts() -> None:
    with Recorder.from_texts(TEXTS) as model:
        assert isinstance(model, Recorder)
        ask(model, QUESTION, decoder=Greedy())
        system = instruction(AnswerKind.NUMBER)
        assert model.prompt == (TURN, *system.encode(), TURN, *QUESTION.encode(), TURN)
        result = ask(model, QUESTION, decoder=Greedy(), system_prompt="Be brief.")
        assert model.prompt == (TURN, *b"Be brief.", TURN, *QUESTION.encode(), TURN)
        assert result.instruction == "Be brief."
        ask(model, QUESTION, decoder=Greedy(), system_prompt="")
        assert model.prompt == (TURN, *QUESTION.encode(), TURN)
        ask(model, QUESTION, decoder=Greedy(), system_prompt="Be brief.", chat="plain")
        text = f"Be brief.\n\nQuestion: {QUESTION}\nAnswer:"
        assert model.prompt == (*text.encode(), TURN)
        ask(model, "<|im_end|>", decoder=Greedy(), system_prompt="")
        assert model.prompt == (TURN, *b"<|im_end|>", TURN), "control text stays text"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("a\0b", "NUL"),
        ("a\ud800", r"UTF-8 \(character 2\)"),
        (7, "int: pass a string"),
        (None, "is None: pass a string"),
        (b"bytes", "bytes: pass a string"),
    ],
)
def test_what_is_no_question_is_refused(wrong: object, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        check_text(wrong)
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(QuestionError, match=says):
            submit(model, wrong)  # type: ignore[arg-type]
        if isinstance(wrong, str) and wrong:
            with pytest.raises(QuestionError, match="the system prompt"):
                submit(model, QUESTION, system_prompt=wrong)


def test_settings_that_cannot_work_are_refused() -> None:
    with ScriptedModel.from_texts(TEXTS, chat_template=False) as model:
        with pytest.raises(SettingsError, match="number, math, choice, text, date"):
            ask(model, QUESTION, kind="poem")
        with pytest.raises(SettingsError, match="0 or more"):
            ask(model, QUESTION, seed=-1)
        with pytest.raises(UnsupportedModelError, match="--chat plain"):
            ask(model, QUESTION)
        with pytest.raises(SettingsError, match="DecoderSettings is not a decoder"):
            ask(model, QUESTION, decoder=DecoderSettings(), chat="plain")
        with pytest.raises(SettingsError, match="et-agent pilot"):
            ask(model, QUESTION, decoder=EntropyTree(schedule="online"), chat="plain")
        assert ask(model, QUESTION, decoder=Greedy(), chat="plain").chat == "plain"
    with pytest.raises(ModelClosedError):
        ask(model, QUESTION, chat="plain")


def test_a_question_longer_than_the_context_says_how_long() -> None:
    with (
        ScriptedModel.from_texts(TEXTS, context=64) as model,
        pytest.raises(QuestionError, match=r"prompt has \d+ tokens and the context 64"),
    ):
        ask(model, QUESTION)


def test_progress_is_told_and_the_last_word_is_the_end() -> None:
    seen: list[Progress] = []
    with ScriptedModel.from_texts(TEXTS) as model:
        pending = submit(model, QUESTION, decoder=CHAINS, on_progress=seen.append)
        result = pending.result(20)
    last = seen[-1]
    assert last.leaves_done == last.leaves == 12
    assert last.tokens == result.usage.tokens_decoded
    assert last.leading[0][0] == "4"
    named = {s.answer: s.share for s in result.distribution if s.answer is not None}
    assert dict(last.leading) == pytest.approx(named)
    assert last.seconds > 0


def test_a_progress_callback_that_raises_fails_its_own_question_only() -> None:
    def broken(_progress: Progress) -> None:
        raise ZeroDivisionError

    with ScriptedModel.from_texts(TEXTS) as model:
        bad = submit(model, QUESTION, decoder=CHAINS, on_progress=broken)
        good = submit(model, QUESTION, decoder=CHAINS)
        with pytest.raises(ZeroDivisionError):
            bad.result(20)
        assert good.result(20).answer is not None


def test_an_interrupted_question_tells_what_is_known_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("et_agent.asking.progress._PAUSE", 0.0)  # told of after each step
    with ScriptedModel.from_texts(TEXTS) as model:
        pending: list[PendingAnswer] = []

        def stop(progress: Progress) -> None:
            if progress.leaves_done:
                pending[0].cancel()

        waiting = held(model)
        pending.append(submit(model, QUESTION, decoder=CHAINS, on_progress=stop))
        never_begun = submit(model, QUESTION, decoder=CHAINS)
        never_begun.cancel()
        waiting.set()
        empty = never_begun.result(20)
        result = pending[0].result(20)
        assert pending[0].done
    assert not empty.complete
    assert empty.answer is None
    assert [(s.answer, s.share) for s in empty.distribution] == [(None, 1.0)]
    assert empty.usage.tokens_decoded == 0
    assert empty.usage.tokens_per_second == 0.0
    assert "interrupted: 1 leaf was not finished" in empty.notes[0]
    assert not result.complete
    assert sum(share.share for share in result.distribution) == pytest.approx(1.0)
    assert result.cut_off_share > 0
    assert not any("did not end within" in note for note in result.notes)


def test_result_can_be_asked_for_again_after_a_timeout() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        waiting = held(model)
        pending = submit(model, QUESTION, decoder=CHAINS)
        with pytest.raises(TimeoutError):
            pending.result(0.01)
        waiting.set()
        assert pending.result(20) == pending.result(20)


def notes(model: ScriptedModel, decoder: DecoderSettings) -> str:
    return " | ".join(ask(model, QUESTION, decoder=decoder).notes)


def test_notes_tell_what_was_adapted() -> None:
    prompt = 2 + 1 + len(instruction(AnswerKind.NUMBER)) + len(QUESTION)
    sure = {"The answer is 4, of course, as everybody knows.": 1.0}
    tree = EntropyTree(value="mass_per_token", leaves=4, roots=2, tau=0.2)
    with ScriptedModel.from_texts(sure, context=prompt + 12) as model:
        assert "room for 12 tokens" in notes(model, Greedy())
    with ScriptedModel.from_texts(sure) as model:
        assert notes(model, Greedy()) == ""
        assert "2 of at most 4 leaves: no other position" in notes(model, tree)
        assert "no attention" in notes(model, tree)
        assert "no pilot" in notes(model, EntropyTree(value="mass_per_token", leaves=4, roots=2))
        settled = EntropyTree(value="mass_per_token", leaves=4, roots=2, tau=0.2, stop_above=0.5)
        assert "leading answer had 50%" in notes(model, settled)
    with ScriptedModel.from_texts(sure, context=prompt + 60) as model:
        assert "room" not in notes(model, Greedy()), "no path was cut"
    with ScriptedModel.from_texts(TEXTS, max_sequences=1) as model:
        assert "tokens were decoded again" in notes(model, tree)


def test_a_tree_that_stops_early_says_why() -> None:
    early = EntropyTree(**EARLY)
    sure = {"So it is \\boxed{4}": 0.99, "So it is \\boxed{5}": 0.01}
    unsure = {f"{number} it is: \\boxed{{{number}}}": 1 / 12 for number in range(12)}
    for texts, why in (
        (sure, "4 of at most 16 leaves: the leading answer had 80%"),
        (unsure, "4 of at most 16 leaves: no answer had more than 34%"),
    ):
        with ScriptedModel.from_texts(texts) as model:
            found = ask(model, QUESTION, decoder=early, kind="number")
            whole = ask(model, QUESTION, kind="number")
        assert why in " | ".join(found.notes)
        assert found.usage.leaves == 4
        assert sum(one.share for one in found.distribution) == pytest.approx(1.0)
        assert found.usage.tokens_decoded <= whole.usage.tokens_decoded
        if texts is sure:
            assert found.answer == whole.answer == "4"


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, "1"])
def test_seeds_that_are_none(seed: object) -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(SettingsError, match="whole number"):
            ask(model, QUESTION, seed=seed)  # type: ignore[call-overload]
        assert model.decoded == 0


def test_chats_that_are_none() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(SettingsError, match="'model' or 'plain'"):
            ask(model, QUESTION, chat="Plain")  # type: ignore[call-overload]
        assert model.decoded == 0


def test_nothing_is_decoded_when_one_question_is_too_long() -> None:
    with ScriptedModel.from_texts(TEXTS, context=400) as model:
        with pytest.raises(QuestionError, match="context"):
            ask(model, [QUESTION, "x" * 500], decoder=CHAINS)
        assert model.decoded == 0


def test_a_base_model_that_asks_on_is_stopped_and_its_own_answer_read() -> None:
    text = " 4\n\nQuestion: How many has a bird?\nAnswer: 2\n"
    with ScriptedModel.from_texts({text: 1.0}) as model:
        result = ask(model, QUESTION, decoder=CHAINS, chat="plain")
        assert result.answer == "4"
        assert result.cut_off_share == 0
        assert result.tree is not None
        assert {leaf.text for leaf in result.tree.leaves} == {" 4\n"}
        assert result.usage.tokens_decoded == 12 * len(" 4\n\nQuestion:")
        # A chat model may say so: there it is a text like any other.
        chat = ask(model, QUESTION, decoder=Greedy())
        assert chat.answer == "2"


def test_numbers_that_say_less_than_they_seem_to_come_with_a_note() -> None:
    long = {"Let me think about it for a long time. \\boxed{4}": 1.0}
    with ScriptedModel.from_texts(long) as model:
        result = ask(model, QUESTION, decoder=MultiChain(leaves=3, max_tokens=10))
        assert result.predictive_entropy == 0
        said = " | ".join(result.notes)
        assert "100% of the weight did not end within 10 tokens" in said
        assert "does not mean that the model is sure" in said
    rare = {"\\boxed{4}": 0.2, "who knows": 0.8}
    with ScriptedModel.from_texts(rare) as model:
        result = ask(model, QUESTION, decoder=MultiChain(leaves=20, temperature=1), kind="number")
        assert result.answer == "4"
        assert "that of a minority" in " | ".join(result.notes)
    with ScriptedModel.from_texts({"\\boxed{4}": 0.5, "\\boxed{5}": 0.5}) as model:
        tree = EntropyTree(leaves=2, roots=2, temperature=1)
        result = ask(model, QUESTION, decoder=tree, kind="number")
        assert [one.share for one in result.distribution] == [0.5, 0.5]
        assert result.notes == (
            "2 answers have the same share: the one with the likeliest words comes first",
        )
    # Either way into 5 leaves no doubt, but the ways into 4 and 6 part before the answer.
    sure_last = {"or \\boxed{4}": 0.25, "or \\boxed{6}": 0.25, "so \\boxed{5}": 0.5}
    with ScriptedModel.from_texts(sure_last) as model:
        result = ask(model, QUESTION, decoder=tree, kind="number")
        assert sorted(one.share for one in result.distribution) == [0.5, 0.5]
        assert (result.answer, result.distribution[0].answer) == ("5", "5")
    with ScriptedModel.from_texts({"\\boxed{4}": 0.6, "\\boxed{5}": 0.4}) as model:
        assert ask(model, QUESTION, decoder=CHAINS).notes == ()


def test_results_carry_the_features_that_calibrators_see() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        result = ask(model, QUESTION, decoder=CHAINS)
        assert set(result.features) == set(FEATURES)
        assert result.features["margin"] == pytest.approx(result.margin)
    with ScriptedModel.from_texts({"who knows": 1.0}) as model:
        assert ask(model, QUESTION, decoder=CHAINS).features == {}, "no answer"


def _even(tokens: Sequence[int]) -> NDArray[np.float32]:
    return np.full(len(tokens), 1 / len(tokens), dtype=np.float32)


def _reads_attention(result: AskResult) -> bool:
    """Whether a result has attention; all of it or none."""
    assert result.tree is not None
    found = {node.received is not None for node in result.tree.nodes}
    found |= {node.prompt_attention is not None for node in result.tree.nodes}
    found |= {result.features["rauq"] is not None}
    assert len(found) == 1
    return found.pop()


def test_attention_is_read_where_it_is_asked_for() -> None:
    with ScriptedModel.from_texts(TEXTS, attention=_even) as model:
        assert not _reads_attention(ask(model, QUESTION, decoder=CHAINS))
        assert _reads_attention(ask(model, QUESTION, decoder=CHAINS, attention=True))
        assert _reads_attention(ask(model, [QUESTION], decoder=CHAINS, attention=True)[0])
        forks = EntropyTree(value="entropy", tau=0.2, leaves=4, roots=2)
        assert _reads_attention(ask(model, QUESTION, decoder=forks))
    with ScriptedModel.from_texts(TEXTS) as model:
        assert not _reads_attention(ask(model, QUESTION, decoder=CHAINS, attention=True))


@pytest.mark.parametrize("feature", ["rauq", "log_prob"])
def test_attention_is_read_where_the_calibrator_needs_it(feature: str) -> None:
    rng = np.random.default_rng(3)
    rows = np.zeros((60, len(feature_columns())))
    rows[:, feature_columns().index(feature)] = rng.normal(size=60)
    calibrator = Calibrator("logistic", features=[feature]).fit(rows, rng.integers(0, 2, 60))
    calibrator.domain_ = None  # for it no tree is like these rows
    with ScriptedModel.from_texts(TEXTS, attention=_even) as model:
        result = ask(model, QUESTION, decoder=CHAINS, calibrator=calibrator)
        assert result.calibrated
        assert _reads_attention(result) == (feature == "rauq")
        found = Fingerprint.of(
            model=result.model.fingerprint,
            decoder=result.decoder,
            instructions={"number": result.instruction},
            chat="model",
        )
        calibrator.fingerprint = found
        save_calibrator(calibrator)
        result = ask(model, QUESTION, decoder=CHAINS)
        assert result.calibrated
        assert _reads_attention(result) == (feature == "rauq")
        assert not _reads_attention(ask(model, QUESTION, decoder=CHAINS, calibrator=None))
        assert not _reads_attention(ask(model, QUESTION, decoder=CHAINS, kind="math"))


def test_one_text_is_not_several_questions() -> None:
    with (
        ScriptedModel.from_texts(TEXTS) as model,
        pytest.raises(QuestionError, match="pass a list of them"),
    ):
        submit_all(model, "abc")


def test_every_question_needs_a_name() -> None:
    with (
        ScriptedModel.from_texts(TEXTS) as model,
        pytest.raises(SettingsError, match="3 questions and 1 names"),
    ):
        submit_all(model, ["a", "b", ""], names=["x"])


def test_questions_may_come_one_by_one() -> None:
    with toy() as model, pytest.raises(QuestionError, match="question 2"):
        submit_all(model, (text for text in ("a", "")))  # type: ignore[arg-type]


def test_options_are_an_object() -> None:
    with (
        ScriptedModel.from_texts(TEXTS) as model,
        pytest.raises(SettingsError, match="pass an AskOptions"),
    ):
        ask(model, "a", {"seed": 3})  # type: ignore[call-overload]
