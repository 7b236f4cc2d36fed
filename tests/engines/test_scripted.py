import threading
from collections.abc import Sequence

import numpy as np
import pytest

from et_agent.engines.base import Batch, LanguageModel
from et_agent.engines.scripted import END, TURN, ScriptedModel
from et_agent.errors import ContextError, ModelClosedError, UnsupportedModelError

TEXTS = {"yes": 0.6, "yet": 0.3, "no": 0.1}
_NONE = np.empty(0, dtype=np.int32)
EMPTY = Batch(_NONE, _NONE, _NONE, np.empty(0, dtype=np.bool_))


def batch(tokens: Sequence[int], start: int, sequence: int = 0, *, wanted: bool = True) -> Batch:
    outputs = np.zeros(len(tokens), dtype=np.bool_)
    outputs[-1] = wanted
    return Batch(
        np.array(tokens, dtype=np.int32),
        np.arange(start, start + len(tokens), dtype=np.int32),
        np.full(len(tokens), sequence, dtype=np.int32),
        outputs,
    )


def probabilities(
    model: ScriptedModel, tokens: Sequence[int], start: int, sequence: int = 0
) -> dict[int, float]:
    row = np.exp(model.decode(batch(tokens, start, sequence)).logits[0].astype(np.float64))
    row /= row.sum()
    return {int(t): round(float(row[t]), 6) for t in np.flatnonzero(row > 1e-12)}


def test_it_is_a_language_model_and_speaks_bytes() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        assert isinstance(model, LanguageModel)
        assert model.tokenize("é<|im_end|>") == list("é<|im_end|>".encode())
        assert model.chat_tokens([{"role": "user", "content": "a"}]) == [TURN, 97, TURN]
        assert model.plain_tokens("a") == [97, TURN]
        assert b"".join(map(model.token_bytes, "é".encode())) == "é".encode()
        assert model.token_bytes(END) == model.token_bytes(TURN) == b""
        assert model.info.stop_tokens == {END}
        assert model.info.vocabulary == 258


def test_texts_come_with_their_probabilities() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        prompt = model.plain_tokens("?")
        assert probabilities(model, prompt, 0) == {ord("y"): 0.9, ord("n"): 0.1}
        model.fork(0, 1, len(prompt))
        assert probabilities(model, list(b"ye"), 2) == {ord("s"): 0.666667, ord("t"): 0.333333}
        assert probabilities(model, list(b"s"), 4) == {END: 1.0}
        assert probabilities(model, list(b"no"), 2, 1) == {END: 1.0}
        assert probabilities(model, list(b"?"), 4, 1) == {END: 1.0}, "off the script it ends"


def test_texts_may_depend_on_the_prompt_and_may_have_no_probability() -> None:
    with ScriptedModel.from_texts(lambda prompt: {prompt.strip()[-1]: 1.0, "x": 0.0}) as model:
        assert probabilities(model, model.plain_tokens("ab"), 0) == {ord("b"): 1.0}
        assert probabilities(
            model, model.chat_tokens([{"role": "user", "content": "c"}]), 0, 1
        ) == {ord("c"): 1.0}


def test_attention_is_played_back() -> None:
    def uniform(tokens: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return np.full(len(tokens), 1 / len(tokens), dtype=np.float32)

    with ScriptedModel.from_texts(TEXTS, attention=uniform) as model:
        assert model.decode(batch(model.plain_tokens("??"), 0)).attention is None, "nobody asked"
        model.configure(64, attention=True)
        step = model.decode(batch(model.plain_tokens("??"), 0))
        assert step.attention is not None
        assert step.attention.row(0).tolist() == pytest.approx([1 / 3] * 3)
        assert model.info.attention_layers == (0,)
    with ScriptedModel.from_texts(TEXTS) as model:
        assert model.decode(batch(model.plain_tokens("??"), 0)).attention is None


def test_what_would_abort_llama_cpp_is_refused() -> None:
    with ScriptedModel.from_texts(TEXTS, context=8, max_sequences=2, max_batch=4) as model:
        prompt = model.plain_tokens("??")
        model.decode(batch(prompt, 0))
        for wrong in (
            batch(prompt, 0),  # positions that are there already
            batch(prompt, 4),  # a gap
            batch(prompt, 0, 2),  # no such sequence
            batch([1, 2, 3, 4, 5], 3),  # too many for a batch
            EMPTY,
        ):
            with pytest.raises(ContextError):
                model.decode(wrong)
        model.decode(batch([1, 2, 3, 4], 3))
        with pytest.raises(ContextError, match="cells"):
            model.decode(batch([1, 2], 7))
        with pytest.raises(ContextError, match="cannot fork"):
            model.fork(0, 1, 9)
        with pytest.raises(ContextError, match="cannot fork"):
            model.fork(1, 0, 1)
        model.fork(0, 1, 2)
        with pytest.raises(ContextError, match="cannot fork"):
            model.fork(0, 1, 2)
        assert model.free_positions == 1
        model.release(0)
        assert model.free_positions == 6
        assert model.decoded == 7


def test_too_many_outputs_are_refused() -> None:
    with ScriptedModel.from_texts(TEXTS, max_sequences=1) as model:
        two = batch(model.plain_tokens("?"), 0)
        two.outputs[:] = True
        with pytest.raises(ContextError, match="output rows"):
            model.decode(two)


def test_a_closed_model_says_so_and_closes_twice() -> None:
    model = ScriptedModel.from_texts(TEXTS)
    name = model.submit(lambda: threading.current_thread().name).result(25)
    assert name.startswith("et-agent-scripted")
    model.close()
    model.close()
    with pytest.raises(ModelClosedError):
        model.decode(batch([1], 0))
    with pytest.raises(ModelClosedError):
        model.submit(int)
    model._closed = False  # closed by another thread just after the check
    with pytest.raises(ModelClosedError):
        model.submit(int)


def test_without_a_chat_template_chat_prompts_are_refused() -> None:
    with (
        ScriptedModel.from_texts(TEXTS, chat_template=False) as model,
        pytest.raises(UnsupportedModelError, match="--chat plain"),
    ):
        model.chat_tokens([{"role": "user", "content": "a"}])
