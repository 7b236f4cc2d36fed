from functools import partial
from pathlib import Path
from typing import Any

import pytest

from et_agent.decoding import EntropyTree, MultiChain, RunInputs, Scheduler
from et_agent.decoding.request import Request
from et_agent.engines.llama_cpp.layout import Layout
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.native import Native
from et_agent.errors import ContextError
from tests.engines.stepping import batch, configure, in_owner, prompt_rows, run_tree

pytestmark = pytest.mark.model


def _answer(model: LlamaCppModel, longest: int) -> tuple[bool, int]:
    capacity = configure(model, longest)
    assert capacity.longest >= min(longest, model.info.longest_path)
    tokens = model.tokenize("The capital of France is")
    logits, _ = in_owner(model, batch(prompt_rows(tokens, capacity.sequences - 1)))
    return model._layout.unified, int(logits[0].argmax())


def test_the_cache_grows_with_the_paths_and_shrinks_again(small_model_path: Path) -> None:
    with LlamaCppModel(
        small_model_path, context=4096, best_width=4, repack=False, stream_memory=300 << 20
    ) as model:
        answers = [_answer(model, longest) for longest in (100, 1000, 4096, 100)]
        assert [unified for unified, _ in answers] == [False, False, True, False]
        assert len({token for _, token in answers}) == 1
        assert model._layout.cells == 512
        rows = [(1, at, 0, at == 511) for at in range(512)]
        for start in (0, 256):
            model.submit(partial(model.decode, batch(rows[start : start + 256]))).result()
        with pytest.raises(ContextError, match="configured for paths of 512 positions"):
            model.submit(partial(model.decode, batch([(1, 512, 0, True)]))).result()


@pytest.mark.parametrize("prefix_memory", [0, 64 << 20])
def test_a_longer_question_joins_shorter_ones(small_model_path: Path, prefix_memory: int) -> None:
    """The cache is configured anew; what the others had in it is decoded again, or was kept."""
    with LlamaCppModel(
        small_model_path,
        context=4096,
        best_width=4,
        repack=False,
        stream_memory=300 << 20,
        prefix_memory=prefix_memory,
    ) as model:
        scheduler = Scheduler(model)
        requests = []

        def run(text: str, tokens: int, joining: str | None = None) -> None:
            prompt = model.chat_tokens([{"role": "user", "content": text}])
            inputs = RunInputs(prompt_length=len(prompt), stop_tokens=frozenset(), seed=3)
            decoder = MultiChain(leaves=2, max_tokens=tokens)

            def join(request: Request) -> None:
                if joining is not None and request.steps == 10:
                    run(joining, 5)

            requests.append(scheduler.submit(prompt, decoder, inputs, on_step=join))

        run("Tell a story.", 30, "Count: " + "one two three four five six " * 100)
        short = requests[0].result(300)
        long = requests[1].result(300)
        assert model._layout.cells == 768
        assert requests[0].recomputed <= 8 if prefix_memory else requests[0].recomputed > 8
        assert [branch.end for branch in short.tree.branches] == [30, 30]
        assert [branch.end for branch in long.tree.branches] == [5, 5]


@pytest.mark.fault("no room for key-values")
def test_without_memory_for_streams_one_cache_does(
    small_model_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make = Native.make_context
    most = 2000

    def refuse(native: Native, layout: Layout, *others: Any) -> None:
        if not layout.unified and layout.total > most:
            raise ContextError("no memory")
        make(native, layout, *others)

    monkeypatch.setattr(Native, "make_context", refuse)
    with LlamaCppModel(small_model_path, context=2048, max_sequences=2, repack=False) as model:
        assert model._layout == Layout(unified=False, sequences=2, cells=512)
        assert _answer(model, 1000)[0], "three streams of 1,024 cells are too many"
        assert "no memory for streams of 3072 cells" in caplog.text
        assert not _answer(model, 500)[0], "shorter ones fit as before"


def test_everything_is_given_back(either_model: LlamaCppModel) -> None:
    before = either_model.free_positions
    run_tree(either_model, "What is 2 + 2?", EntropyTree(leaves=6, max_tokens=16, tau=0.2), 1)
    assert either_model.free_positions == before


@pytest.mark.parametrize("prefix_memory", [0, 64 << 20])
def test_a_small_context_costs_time_not_leaves(small_model_path: Path, prefix_memory: int) -> None:
    with LlamaCppModel(
        small_model_path,
        context=128,
        max_sequences=8,
        repack=False,
        stream_memory=0,
        prefix_memory=prefix_memory,
    ) as tight:
        prompt = tight.chat_tokens([{"role": "user", "content": "Tell a story."}])
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=tight.info.stop_tokens)
        decoder = MultiChain(leaves=6, max_tokens=40)
        request = Scheduler(tight).submit(prompt, decoder, inputs)
        tree = request.result(300).tree
        # 6 chains of up to 40 tokens do not fit into 128 cells at once.
        assert bool(request.recomputed) == (not prefix_memory)
        assert all(branch.finish is not None for branch in tree.branches)
        assert len(tree.branches) == 6
        assert tight.free_positions == 128
