"""Sliding windows as llama.cpp has them: forks, kept prefixes and attention past them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from et_agent.cli.self_test import self_test
from et_agent.decoding import MultiChain, RunInputs, Scheduler
from et_agent.decoding.request import Request
from et_agent.engines.llama_cpp import model as model_module
from et_agent.engines.llama_cpp.layout import choose_layout
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.errors import UnsupportedModelError
from tests.engines.stepping import Logits, batch, cosine, fork, release
from tests.tiny_models import ARCHITECTURES, tiny_model

pytestmark = pytest.mark.model

WINDOW = 64
CLOSE = 0.9999
Open = Callable[..., LlamaCppModel]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    """Opens a tiny model, by default with a window of `WINDOW` and one row of cells."""
    with ExitStack() as held:

        def open_tiny(
            architecture: str, *, window: int | None = WINDOW, **settings: object
        ) -> LlamaCppModel:
            path = tiny_model(folder, architecture, window=window)
            given = {"context": 1024, "max_sequences": 8, "repack": False, "stream_memory": 0}
            return held.enter_context(LlamaCppModel(path, **{**given, **settings}))  # type: ignore[arg-type]

        yield open_tiny


def configure(model: LlamaCppModel, longest: int = 1024, *, attention: bool = False) -> None:
    model.submit(partial(model.configure, longest, attention=attention)).result()


def extend(model: LlamaCppModel, path: list[int], sequence: int, start: int = 0) -> Logits:
    """Decode what follows the first `start` tokens of a path; returns the last logits."""

    def work() -> Logits:
        for at in range(start, len(path), 100):
            end = min(at + 100, len(path))
            rows = [(path[i], i, sequence, i == len(path) - 1) for i in range(at, end)]
            step = model.decode(batch(rows))
        logits: Logits = step.logits[0].copy()
        return logits

    return model.submit(work).result()


def some_tokens(count: int, seed: int = 0) -> list[int]:
    tokens: list[int] = np.random.default_rng(seed).integers(0, 250, count).tolist()
    return tokens


def fork_past_the_window(model: LlamaCppModel, at: int = 40, length: int = 400) -> float:
    """Cosine of a fork at an early token against its tokens alone, with cells given back between."""
    path, other = some_tokens(length), [*some_tokens(length)[:at], *some_tokens(5, 1)]
    extend(model, some_tokens(60, 2), 1)
    extend(model, path, 0)
    release(model, 1)
    extend(model, some_tokens(150, 3), 2)  # where the first one was, and more
    fork(model, 0, 3, at)
    forked = extend(model, other, 3, at)
    release(model, 0, 2, 3)
    alone = extend(model, other, 1)
    release(model, 1)
    return cosine(forked, alone)


LAYOUTS = pytest.mark.parametrize("memory", [0, 1 << 30], ids=["one row", "streams"])


@LAYOUTS
@pytest.mark.parametrize("architecture", ["gemma2", "gemma3", "cohere2", "gpt-oss", "exaone4"])
def test_forks_past_a_window_are_exact(opened: Open, architecture: str, memory: int) -> None:
    model = opened(architecture, stream_memory=memory)
    assert model.info.window == WINDOW
    assert model.info.longest_path == 1024, "paths do not end at the window"
    configure(model)
    assert model._layout.unified == (memory == 0)
    assert fork_past_the_window(model) >= CLOSE


@pytest.mark.parametrize("architecture", ["gemma3", "gpt-oss"])
def test_the_check_sees_cells_that_were_given_away(
    opened: Open, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without twins, in one row, llama.cpp gives away what has left the window."""

    def without_twins(longest: int, **others: int) -> object:
        return choose_layout(longest, **{**others, "window": 0})

    monkeypatch.setattr(model_module, "choose_layout", without_twins)
    model = opened(architecture)
    assert fork_past_the_window(model) < 0.9
    checks = {check.name: check.status for check in self_test(lambda: closing(model))}
    assert checks[f"window of {WINDOW}"] == "fail"


def test_doctor_goes_past_the_window(opened: Open) -> None:
    model = opened("gemma3")
    checks = {check.name: check for check in self_test(lambda: closing(model))}
    assert checks[f"window of {WINDOW}"].status == "ok"
    assert f"after {WINDOW + 96} tokens" in checks[f"window of {WINDOW}"].detail


@pytest.mark.parametrize(
    ("architecture", "window"),
    [("gemma2", 4096), ("llama4", 8192), ("phi3", 0), ("llama", 0), ("gemma3", 0)],
)
def test_the_window_is_that_of_llama_cpp_where_the_file_names_none(
    opened: Open, architecture: str, window: int
) -> None:
    assert opened(architecture, window=None).info.window == window


def test_phi3_has_no_window_although_its_files_name_one(opened: Open) -> None:
    model = opened("phi3")
    assert model.info.window == 0
    assert model.info.longest_path == 1024
    assert fork_past_the_window(model) >= CLOSE


def test_twins_leave_room_for_128_sequences(opened: Open) -> None:
    model = opened("gpt-oss", max_sequences=256)
    configure(model)
    assert model._layout.sequences == 128
    extend(model, some_tokens(5), 127)


@LAYOUTS
@pytest.mark.parametrize("architecture", ["gemma2", "gpt-oss", "deepseek2"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_a_path_has_the_logits_of_its_tokens(
    opened: Open, architecture: str, memory: int, seed: int
) -> None:
    """Forks, releases, parking and restoring in any order, with paths on both sides of the window."""
    model, alone = opened(architecture, stream_memory=memory), opened(architecture)
    configure(model)
    random = np.random.default_rng(seed)
    paths: dict[int, list[int]] = {}
    parked: list[tuple[list[int], np.ndarray]] = []
    restored = 0
    for turn in range(40):
        free = [one for one in range(8) if one not in paths]
        action = random.choice(["grow", "grow", "fork", "release", "park", "restore"])
        sequence = int(random.choice(list(paths))) if paths else free[0]
        start = len(paths.get(sequence, []))
        if action == "fork" and paths and free:
            start = int(random.integers(1, start + 1))
            fork(model, sequence, free[0], start)
            paths[free[0]] = paths[sequence][:start]
            sequence = free[0]
        elif action == "release" and len(paths) > 2:
            release(model, sequence)
            del paths[sequence]
            continue
        elif action == "park" and paths:
            rows = model.submit(partial(model.park, sequence, 0)).result()
            if rows is not None:
                assert len(rows) == start
                parked.append((paths[sequence], rows))
            del paths[sequence]
            continue
        elif action == "restore" and parked and free:
            kept, rows = parked[random.integers(len(parked))]
            start = int(random.integers(1, len(kept) + 1))
            if model.free_positions < start + 200:
                continue
            sequence = free[0]
            if not model.submit(partial(model.restore, sequence, rows[:start])).result():
                continue
            paths[sequence] = kept[:start]
            restored += 1
        elif free and random.random() < 0.3:
            sequence, start = free[0], 0
        grown = some_tokens(int(random.integers(1, 2 * WINDOW)), 100 * seed + turn)
        if start + len(grown) > 500 or model.free_positions < len(grown):
            release(model, *paths)
            paths.clear()
            continue
        path = paths[sequence] = [*paths.get(sequence, []), *grown]
        found = extend(model, path, sequence, start)
        expected = extend(alone, path, 0)
        release(alone, 0)
        assert cosine(found, expected) >= CLOSE, (turn, action, start, len(path))
    assert restored
    assert model.prefixes is not None, "nothing stopped prefixes from being kept"


def ask(model: LlamaCppModel, prompt: list[int], seed: int) -> Request:
    inputs = RunInputs(prompt_length=len(prompt), stop_tokens=frozenset(), seed=seed)
    decoder = MultiChain(leaves=4, max_tokens=30, temperature=0.3)
    request = Scheduler(model).submit(prompt, decoder, inputs)
    request.result(300)
    return request


def assert_alike(found: Request, expected: Request) -> None:
    """The paths say the same with the same probabilities, up to where rounding draws another token."""
    for one, other in zip(found.run.tree.branches, expected.run.tree.branches, strict=True):
        pairs = enumerate(zip(one.tokens, other.tokens, strict=False))
        apart = next((at for at, (a, b) in pairs if a != b), len(other.tokens))
        np.testing.assert_allclose(one.log_probs[:apart], other.log_probs[:apart], atol=0.02)
        ends = slice(apart, apart + 1)
        np.testing.assert_allclose(one.entropies[ends], other.entropies[ends], atol=0.02)


@LAYOUTS
def test_prefixes_go_on_past_a_window_in_memory_and_from_a_file(
    opened: Open, tmp_path: Path, memory: int
) -> None:
    prompts = [some_tokens(300), [*some_tokens(300)[:250], *some_tokens(40, 5)]]
    plain = opened("gpt-oss", stream_memory=memory, prefix_memory=0)
    expected = [ask(plain, one, 7) for one in prompts]
    file = tmp_path / "prefixes"
    keeping = opened("gpt-oss", stream_memory=memory, prefix_file=file)
    requests = [ask(keeping, one, 7) for one in prompts]
    assert [one.cached for one in requests] == [0, 250]
    for found, other in zip(requests, expected, strict=True):
        assert_alike(found, other)
    keeping.close()
    again = opened("gpt-oss", stream_memory=memory, prefix_file=file)
    requests = [ask(again, one, 7) for one in prompts]
    assert all(one.cached >= 250 for one in requests)
    for found, other in zip(requests, expected, strict=True):
        assert_alike(found, other)


@LAYOUTS
def test_attention_past_a_window(opened: Open, memory: int) -> None:
    """Layers with a window give nothing to what has left it; the others see the whole path."""
    model = opened("gemma2", stream_memory=memory, attention_layers=(0, 1))
    configure(model, attention=True)
    extend(model, some_tokens(60, 2), 1)
    path = some_tokens(300)
    extend(model, path, 0)
    release(model, 1)
    fork(model, 0, 1, 200)

    def weights() -> np.ndarray:
        step = model.decode(batch([(5, 200, 1, True)]))
        assert step.attention is not None
        return step.attention.weights(0).copy()  # type: ignore[attr-defined, no-any-return]

    found = model.submit(weights).result()
    assert found.shape == (2, 4, 201)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-3)
    seen = found > 0
    assert not seen[0, :, : 201 - WINDOW].any()
    assert seen[0, :, 201 - WINDOW :].all()
    assert seen[1].all()


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"mamba"}))
def test_every_architecture_of_the_bench_forks(opened: Open, architecture: str) -> None:
    model = opened(architecture)
    configure(model)
    assert fork_past_the_window(model) >= CLOSE


def test_a_recurrent_model_is_refused(opened: Open) -> None:
    with pytest.raises(UnsupportedModelError, match="recurrent"):
        opened("mamba")
