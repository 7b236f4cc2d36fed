from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.conftest import SMALL_MODEL

if TYPE_CHECKING:
    from et_agent.engines.llama_cpp.model import LlamaCppModel


@pytest.fixture(scope="package")
def unified_model() -> "Iterator[LlamaCppModel]":
    """The small model with one cache for all sequences."""
    # Imported here, so that the other tests of this folder need no llama.cpp.
    from et_agent.engines.loading import load_model

    with load_model(SMALL_MODEL, context=4096, max_sequences=32, stream_memory=0) as model:
        yield model


@pytest.fixture(params=["streams", "unified"])
def either_model(request: pytest.FixtureRequest) -> "LlamaCppModel":
    """The small model with a stream a sequence, and with one cache for all."""
    name = "small_model" if request.param == "streams" else "unified_model"
    model: LlamaCppModel = request.getfixturevalue(name)
    model.submit(partial(model.configure, 512, attention=True)).result()
    assert model._layout.unified == (request.param == "unified")
    return model
