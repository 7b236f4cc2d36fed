"""What a real model keeps between questions and between processes."""

from pathlib import Path

import numpy as np
import pytest

from et_agent.asking import ask
from et_agent.decoding import EntropyTree, Greedy, RunInputs, Scheduler
from et_agent.engines.llama_cpp import keeping
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.sequence_state import StateFormError
from et_agent.engines.loading import load_model
from et_agent.errors import SettingsError
from et_agent.results import AskResult
from et_agent.templates.messages import Message
from tests.conftest import SMALL_MODEL
from tests.tiny_models import tiny_model

SYSTEM = "You answer in one short sentence. " + "Mind the rules of the house. " * 12
TREE = EntropyTree(leaves=4, max_tokens=12)


def asked(model: LlamaCppModel, question: str | list[Message], **changes: object) -> AskResult:
    changes = {"decoder": TREE, "kind": "text", "system_prompt": SYSTEM, **changes}
    return ask(model, question, **changes)  # type: ignore[call-overload, no-any-return]


def load(**changes: object) -> LlamaCppModel:
    return load_model(SMALL_MODEL, context=2048, max_sequences=16, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream_memory", [1 << 30, 0])
def test_a_second_question_starts_from_the_first_ones_beginning(stream_memory: int) -> None:
    with load(stream_memory=stream_memory) as model:
        first = asked(model, "Name a colour.")
        second = asked(model, "Name a fruit.")
        assert first.usage.cached_tokens == 0
        new = second.usage.prompt_tokens - second.usage.cached_tokens
        assert 1 < new < 20
        again = asked(model, "Name a colour.")
        assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
        # Only the shapes of batches differ, as they do between any two runs.
        assert again.distribution[0].answer == first.distribution[0].answer
        model.submit(lambda: None).result()
        assert model.free_positions == model._layout.total


def test_a_next_turn_starts_from_the_reply_in_the_models_own_template() -> None:
    with load() as model:
        first = asked(model, "Name a colour.", decoder=Greedy(max_tokens=24))
        assert first.best_leaf is not None
        turns: list[Message] = [
            {"role": "user", "content": "Name a colour."},
            {"role": "assistant", "content": first.best_leaf.text},
            {"role": "user", "content": "Another one."},
        ]
        second = asked(model, turns)
        seen = first.usage.prompt_tokens + first.best_leaf.tokens
        assert second.usage.cached_tokens >= seen - 2


def test_a_prompt_is_read_from_the_file_of_an_earlier_process(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    with load(prefix_file=path) as model:
        cold = asked(model, "Name a colour.")
    assert path.stat().st_mode & 0o777 == 0o600
    with load(prefix_file=str(path), stream_memory=0) as model:
        warm = asked(model, "Name a colour.")
        assert warm.usage.cached_tokens == warm.usage.prompt_tokens - 1
        assert warm.distribution[0].answer == cold.distribution[0].answer
        assert not any("prefix file" in note for note in warm.notes)
        written = path.stat().st_ino
        model.save_prefixes()
        assert path.stat().st_ino == written, "nothing was added"
        asked(model, "Name a fruit.")
        model.save_prefixes()
        assert path.stat().st_ino != written


@pytest.mark.fault("flipped bytes")
def test_a_damaged_file_is_ignored_with_a_note_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"
    with load(prefix_file=path) as model:
        asked(model, "Name a colour.")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with load(prefix_file=path) as model:
        result = asked(model, "Name a colour.")
        assert result.usage.cached_tokens == 0
        assert any("is ignored: it is damaged" in note for note in result.notes)
    with load(prefix_file=path) as model:
        assert asked(model, "Name a colour.").usage.cached_tokens > 0


def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("something else " * 10)
    with load(prefix_file=path) as model:
        result = asked(model, "Name a colour.")
        assert any("nothing is written to it" in note for note in result.notes)
    assert path.read_text() == "something else " * 10


def test_a_folder_is_no_file_of_prefixes(tmp_path: Path) -> None:
    with load(prefix_file=tmp_path) as model:
        (note,) = (one for one in asked(model, "Name a colour.").notes if "prefix file" in one)
    assert note.endswith("is ignored: Is a directory; nothing is written to it")
    with pytest.raises(SettingsError, match="prefix_file is empty: name a file"):
        load(prefix_file="")
    with pytest.raises(SettingsError, match="prefix_file holds a NUL character: name a file"):
        load(prefix_file="prefixes\0")


@pytest.mark.parametrize(
    ("memory", "given"), [(-1, "-1 bytes"), (-1 << 20, "-1 MiB"), (1 << 60, "1099511627776 MiB")]
)
def test_memory_out_of_range_is_refused(memory: int, given: str) -> None:
    with pytest.raises(SettingsError, match=rf"prefix_memory is {given}: use 0 .* to \d+ MiB"):
        load(prefix_memory=memory)


def test_a_file_without_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs prefix_memory"):
        load(prefix_memory=0, prefix_file=tmp_path / "file")


def test_a_state_of_an_unknown_form_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise StateFormError("a state begins differently")

    monkeypatch.setattr(keeping, "read_sequence", unknown)
    with load() as model:
        asked(model, "Name a colour.")
        assert model.prefixes is None
        assert asked(model, "Name a colour.").usage.cached_tokens == 0


def test_without_memory_nothing_is_kept() -> None:
    with load(prefix_memory=0) as model:
        asked(model, "Name a colour.")
        assert model.prefixes is None
        assert asked(model, "Name a colour.").usage.cached_tokens == 0


@pytest.mark.parametrize("stream_memory", [1 << 30, 0], ids=["streams", "one row"])
def test_keys_that_longer_caches_turn_otherwise_are_not_mixed(
    tmp_path: Path, stream_memory: int
) -> None:
    path, file = tiny_model(tmp_path, "phi3", turned=512), tmp_path / "prefixes"
    prompt = np.random.default_rng(0).integers(0, 250, 300).tolist()

    def decoded(model: LlamaCppModel, tokens: int) -> tuple[int, list[int]]:
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=frozenset(), seed=0)
        request = Scheduler(model).submit(prompt, Greedy(max_tokens=tokens), inputs)
        request.result(60)
        return request.cached, request.run.tree.branches[0].tokens[:12]

    def opened(context: int, **changes: object) -> LlamaCppModel:
        given = {"max_sequences": 8, "repack": False, "stream_memory": stream_memory, **changes}
        return LlamaCppModel(path, context=context, **given)  # type: ignore[arg-type]

    with opened(2048, prefix_memory=0) as model:
        alone = decoded(model, 12)
    with opened(2048, prefix_file=file) as model:
        assert decoded(model, 12) == (0, alone[1])
        assert decoded(model, 400) == (299, alone[1]), "a longer cache goes on from a shorter one's"
    with opened(512, prefix_file=file) as model:
        cached, short = decoded(model, 12)
        assert (cached, short != alone[1]) == (0, True), "the model tells both ways apart"
        assert model.prefixes is not None
        assert "was written for another model or library" in model.prefixes.note
    with opened(512, prefix_file=file) as model:
        assert decoded(model, 12) == (299, short)
