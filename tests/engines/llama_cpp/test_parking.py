"""Key-values of sequences taken out of the real cache and put back, in both arrangements."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from et_agent.arrays import Bytes
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.sequence_state import StateForm, StateFormError
from et_agent.errors import ContextError
from tests.engines.stepping import batch, fork, in_owner, prompt_rows, release, stream_of

PROMPT = list(range(500, 560))
NEXT = [(7, 60, 1, True)]
Logits = NDArray[np.float32]


def configure(model: LlamaCppModel, longest: int = 512, *, attention: bool = False) -> None:
    model.submit(partial(model.configure, longest, attention=attention)).result()


def decode(model: LlamaCppModel, rows: list[tuple[int, int, int, bool]]) -> Logits:
    def work() -> Logits:
        return model.decode(batch(rows)).logits.copy()

    return model.submit(work).result()


def park(model: LlamaCppModel, sequence: int, start: int = 0) -> Bytes | None:
    return model.submit(partial(model.park, sequence, start)).result()


def restore(model: LlamaCppModel, sequence: int, rows: Bytes) -> bool:
    return model.submit(partial(model.restore, sequence, rows)).result()


@pytest.fixture(params=["streams", "unified"])
def model(request: pytest.FixtureRequest) -> LlamaCppModel:
    name = "small_model" if request.param == "streams" else "unified_model"
    found: LlamaCppModel = request.getfixturevalue(name)
    configure(found)
    assert found._layout.unified == (request.param == "unified")
    return found


def test_what_was_parked_goes_on_as_if_it_had_stayed(model: LlamaCppModel) -> None:
    decode(model, prompt_rows(PROMPT, 1))
    stayed = decode(model, NEXT)
    free = model.free_positions
    rows = park(model, 1)
    assert rows is not None
    assert rows.shape == (61, model._keeper._form.row_bytes)  # type: ignore[union-attr]
    assert restore(model, 1, rows[:60])
    assert model.free_positions == free + 1
    assert np.array_equal(decode(model, NEXT), stayed)
    release(model, 1)
    assert model.free_positions == model._layout.total


def _apart(one: Logits, other: Logits) -> float:
    """Total variation of the distributions of two rows of logits."""
    first, second = (np.exp(row[0].astype(np.float64) - row.max()) for row in (one, other))
    return float(np.abs(first / first.sum() - second / second.sum()).sum() / 2)


def test_a_tail_is_parked_alone_and_joined_with_its_beginning(model: LlamaCppModel) -> None:
    decode(model, prompt_rows(PROMPT, 0))
    fork(model, 0, 1, 40)
    # Other paths in between, so that a unified cache has the cells in no order.
    decode(model, [(9, 60, 0, False), (1, 40, 1, False), (2, 41, 1, True)])
    release(model, 0)
    decode(model, [(token, 42 + at, 1, at == 17) for at, token in enumerate(range(600, 618))])
    stayed = decode(model, NEXT)
    fork(model, 1, 2, 30)
    decode(model, [(3, 30, 2, True)])
    head, tail = park(model, 2), park(model, 1, 30)
    assert head is not None
    assert tail is not None
    assert (len(head), len(tail)) == (31, 31)
    assert restore(model, 1, np.concatenate([head[:30], tail[:30]]))
    # Keys in other cells of a unified cache are summed in another order, which rounding of tokens to
    # 8 bits magnifies: logits move together, and probabilities hardly.
    assert _apart(decode(model, NEXT), stayed) < 0.1
    release(model, 1)


def test_it_fits_into_a_cache_of_another_arrangement(
    small_model: LlamaCppModel, unified_model: LlamaCppModel
) -> None:
    configure(small_model)
    configure(unified_model)
    decode(small_model, prompt_rows(PROMPT, 1))
    stayed = decode(small_model, NEXT)
    rows = park(small_model, 1)
    assert rows is not None
    configure(small_model, 1000)
    assert restore(small_model, 1, rows[:60])
    assert np.allclose(decode(small_model, NEXT), stayed, atol=1e-3)
    unified_model._keeper._form = small_model._keeper._form
    assert restore(unified_model, 1, rows[:60])
    assert np.allclose(decode(unified_model, NEXT), stayed, atol=0.3)
    release(small_model, 1)
    release(unified_model, 1)


def test_copies_that_are_still_to_come_are_minded(small_model: LlamaCppModel) -> None:
    configure(small_model)
    decode(small_model, prompt_rows(PROMPT, 0))
    rows = park(small_model, 0)
    assert rows is not None
    decode(small_model, prompt_rows(PROMPT, 0))
    fork(small_model, 0, 1, 60)
    fork(small_model, 0, 2, 60)
    assert park(small_model, 2) is None, "llama.cpp has not copied it yet"
    assert restore(small_model, 2, rows[:50])
    assert stream_of(small_model, 2) not in {0, 1, 2, None}
    found = decode(small_model, [(7, 60, 1, True), (7, 50, 2, True)])
    release(small_model, 0, 1, 2)
    decode(small_model, prompt_rows(PROMPT[:50], 2))
    assert np.allclose(found[1], decode(small_model, [(7, 50, 2, True)]), atol=0.3)
    release(small_model, 2)


def test_a_fork_whose_copy_is_to_come_is_no_place_for_another(small_model: LlamaCppModel) -> None:
    configure(small_model)
    decode(small_model, prompt_rows(PROMPT, 0))
    rows = park(small_model, 0)
    assert rows is not None
    decode(small_model, prompt_rows(PROMPT[::-1], 0))
    for sequence in range(1, small_model._layout.sequences):
        fork(small_model, 0, sequence, 60)
    release(small_model, 5)
    free = small_model.free_positions
    # The stream that was never used is left; then there is none that llama.cpp does not copy to.
    assert restore(small_model, 5, rows)
    release(small_model, 6)
    assert not restore(small_model, 6, rows)
    assert small_model.free_positions == free - len(rows)
    configure(small_model)


def test_attention_goes_on_from_what_was_decoded_without_it(model: LlamaCppModel) -> None:
    configure(model, attention=True)
    in_owner(model, batch(prompt_rows(PROMPT, 1)))
    _, attention = in_owner(model, batch(NEXT))
    stayed = attention.weights(0).copy()
    configure(model)
    decode(model, prompt_rows(PROMPT[::-1], 0))
    decode(model, prompt_rows(PROMPT, 1))
    rows = park(model, 1)
    assert rows is not None
    configure(model, attention=True)
    in_owner(model, batch(prompt_rows(PROMPT[:20], 0)))
    assert restore(model, 1, rows)
    fork(model, 1, 2, 50)
    _, attention = in_owner(model, batch([*NEXT, (7, 50, 2, True)]))
    assert attention.weights(0).shape == stayed.shape
    assert np.allclose(attention.weights(0), stayed, atol=2e-3)
    found = attention.weights(1).copy()
    release(model, 0, 1, 2)
    in_owner(model, batch(prompt_rows(PROMPT[:50], 2)))
    _, attention = in_owner(model, batch([(7, 50, 2, True)]))
    assert np.allclose(attention.weights(0), found, atol=2e-3)
    release(model, 2)


def test_keys_of_an_unknown_place_are_not_taken_while_attention_is_read(
    model: LlamaCppModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(model, attention=True)
    decode(model, prompt_rows(PROMPT, 1))
    rows = park(model, 1)
    assert rows is not None
    free = model.free_positions
    monkeypatch.setattr(StateForm, "keys", lambda *_: None)
    assert not restore(model, 1, rows)
    assert model.free_positions == free


def test_what_does_not_fit_is_refused(model: LlamaCppModel) -> None:
    decode(model, prompt_rows(PROMPT, 1))
    rows = park(model, 1)
    assert rows is not None
    assert not restore(model, 1, rows[:, :-2])
    assert restore(model, 1, rows)
    with pytest.raises(ContextError):
        restore(model, 1, rows)
    with pytest.raises(ContextError):
        restore(model, 2, np.tile(rows, (100, 1)))
    with pytest.raises(ContextError):
        restore(model, 999, rows)
    release(model, 1)


@pytest.mark.parametrize("data", [None, 3, [], [[]], [[[1, 2]]], [[[1, 0], [1, 0]]], [["ab"]]])
def test_what_is_no_form_is_refused(data: object) -> None:
    with pytest.raises(StateFormError):
        StateForm.of_data(data)


def test_a_form_as_data_and_where_keys_are() -> None:
    form = StateForm((((1, 8), (1, 6), (30, 4), (1, 2)),))
    assert StateForm.of_data(form.as_data()) == form
    assert form.row_bytes == 20
    assert form.keys(1, 2) == (1, slice(8, 14))
    assert form.keys(0, 3) is None
