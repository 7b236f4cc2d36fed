from functools import partial
from pathlib import Path

import numpy as np
import pytest

from et_agent.decoding import EntropyTree
from et_agent.decoding.attention import AttentionSums
from et_agent.engines.llama_cpp.attention import (
    _PTR,
    _SOURCES,
    AttentionReader,
    _floats,
)
from et_agent.engines.llama_cpp.model import LlamaCppModel
from tests.engines.stepping import (
    Logits,
    batch,
    configure,
    cosine,
    fork,
    in_owner,
    prompt_rows,
    release,
    run_tree,
    stream_of,
    visible_off_path,
)

pytestmark = pytest.mark.model


def test_attention_covers_the_own_path_and_nothing_else(either_model: LlamaCppModel) -> None:
    """After forks, releases and reuse of cells rows sum to 1 on the path and are 0 elsewhere."""
    prompt = either_model.chat_tokens([{"role": "user", "content": "Name a colour, then a fruit."}])
    rng = np.random.default_rng(5)
    _, attention = in_owner(either_model, batch(prompt_rows(prompt, 0)))
    assert attention.row(0).sum() == pytest.approx(1, abs=1e-3)
    lengths = {0: len(prompt)}
    for _ in range(12):
        for sequence in list(lengths):
            if sequence and rng.random() < 0.4:
                release(either_model, sequence)
                del lengths[sequence]
        free = [s for s in range(1, 8) if s not in lengths][:3]
        for target in free:
            source = int(rng.choice(list(lengths)))
            length = int(rng.integers(len(prompt) // 2, lengths[source] + 1))
            fork(either_model, source, target, length)
            lengths[target] = length
        rows = [(int(rng.integers(300, 9000)), lengths[s], s, True) for s in lengths]
        _, attention = in_owner(either_model, batch(rows))
        for index, sequence in enumerate(lengths):
            lengths[sequence] += 1
            row = attention.row(index)
            assert row.size == lengths[sequence]
            assert row.sum() == pytest.approx(1, abs=1e-3)
            assert visible_off_path(attention, index) == 0
    release(either_model, *lengths)


class _Witness(AttentionReader):
    """Keeps values and output of the flash attention nodes, to check the weights by."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__(layers)
        self.seen: list[
            tuple[Logits, Logits]
        ] = []  # [streams, heads, columns, d], [rows, heads, d]

    def _read(self, tensor: int) -> None:
        super()._read(tensor)
        values = _PTR(tensor + _SOURCES + 16).value
        assert values is not None
        out = self._array(tensor)  # [streams, rows of each, heads, d]
        self.seen.append((_floats(self._array(values)), out.reshape(-1, *out.shape[2:]).copy()))


@pytest.mark.parametrize("stream_memory", [0, 1 << 30])
def test_attention_weights_are_those_of_llama_cpp(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, stream_memory: int
) -> None:
    """Weights times values give the output of llama.cpp's own attention, in every layer and head."""
    monkeypatch.setattr("et_agent.engines.llama_cpp.model.AttentionReader", _Witness)
    with LlamaCppModel(
        small_model_path,
        context=512,
        max_sequences=8,
        attention_layers=(0, 11, 29),
        repack=False,
        stream_memory=stream_memory,
    ) as model:
        configure(model, 512)
        prompt = model.chat_tokens([{"role": "user", "content": "Name a colour, then a fruit."}])
        in_owner(model, batch(prompt_rows(prompt, 0)))
        fork(model, 0, 1, len(prompt))
        fork(model, 0, 2, len(prompt) - 3)
        lengths = [len(prompt), len(prompt), len(prompt) - 3]
        for step in range(4):
            reader = model._reader
            assert isinstance(reader, _Witness)
            reader.seen.clear()
            rows = [(1000 + 7 * s + step, lengths[s] + step, s, True) for s in range(3)]
            _, attention = in_owner(model, batch(rows))
            for layer, (values, outputs) in enumerate(reader.seen):
                for index, (_, position, sequence, _) in enumerate(rows):
                    weights = attention.weights(index)[layer]
                    if model._layout.unified:
                        held = values[0][:, attention._path(index)[1]]
                    else:  # the streams are in the order of the rows
                        assert stream_of(model, sequence) == index
                        held = values[index][:, : position + 1]
                    groups = weights.reshape(len(held), -1, position + 1)
                    mine = np.matmul(groups, held).reshape(outputs[index].shape)
                    np.testing.assert_allclose(mine, outputs[index], rtol=0.02, atol=0.02)
                    assert cosine(mine.ravel(), outputs[index].ravel()) > 0.999


def test_attention_of_a_prompt_longer_than_a_micro_batch(either_model: LlamaCppModel) -> None:
    tokens = either_model.tokenize("one two three four five six seven " * 30)[:200]
    _, attention = in_owner(either_model, batch(prompt_rows(tokens, 3)))
    assert attention.row(0).size == 200
    assert attention.row(0).sum() == pytest.approx(1, abs=1e-3)
    release(either_model, 3)


def test_received_sums_match_single_rows(
    small_model: LlamaCppModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AttentionSums, "forget_rows", lambda _: None)
    tree = run_tree(
        small_model,
        "How much is 17 + 25?",
        EntropyTree(leaves=8, roots=3, max_tokens=24, tau=0.1),
        seed=2,
        attention=True,
    )
    book = tree.attention
    assert book is not None
    for branch in tree.branches:
        received = book.of(branch.id).received
        assert received is not None
        importance = book.importance(branch.id)
        later = importance[np.isfinite(importance)]
        assert ((later >= 0) & (later <= 1)).all()
        # Every query on the path, without what it gives itself; kept rows are float16.
        expected = np.zeros(received.size)
        for row in book._rows(branch.id, branch.end):
            expected[: row.size - 1] += row[:-1]
        np.testing.assert_allclose(received, expected, atol=5e-3)
        assert received.sum() > 0.5 * branch.end


def test_no_attention_layers_is_no_attention(small_model_path: Path) -> None:
    with LlamaCppModel(
        small_model_path, context=256, max_sequences=2, attention_layers=(), repack=False
    ) as model:
        configure(model, 256)
        step = model.submit(partial(model.decode, batch([(1, 0, 0, True)]))).result()
        assert step.attention is None


def test_without_attention(small_model_path: Path) -> None:
    with LlamaCppModel(
        small_model_path, context=256, max_sequences=2, attention=False, repack=False
    ) as model:
        assert model.info.attention_layers == ()
        configure(model, 256)
        step = model.submit(partial(model.decode, batch([(1, 0, 0, True)]))).result()
        assert step.attention is None


def test_attention_is_read_only_as_long_as_it_is_asked_for(small_model_path: Path) -> None:
    with LlamaCppModel(small_model_path, context=256, max_sequences=2, repack=False) as model:
        first = batch([(1, 0, 0, True)])

        def reads(longest: int, *, attention: bool) -> bool:
            model.submit(partial(model.configure, longest, attention=attention)).result()
            return model.submit(partial(model.decode, first)).result().attention is not None

        assert model.submit(partial(model.decode, first)).result().attention is None
        assert model._native.reader is None, "llama.cpp calls nothing back"
        assert reads(64, attention=True)
        context = model._native.context
        assert not reads(64, attention=False)
        assert reads(64, attention=True)
        assert model._native.context == context, "the context is not made anew each time"
