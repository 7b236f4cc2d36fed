from collections.abc import Iterator
from functools import partial

import pytest

from et_agent.models.llama_cpp import LlamaCppModel
from et_agent.models.loading import load_model
from tests.conftest import SMALL_MODEL


@pytest.fixture(scope="package")
def unified_model() -> Iterator[LlamaCppModel]:
    """The small model with one cache for all sequences."""
    with load_model(SMALL_MODEL, context=4096, max_sequences=32, stream_memory=0) as model:
        yield model


@pytest.fixture(params=["streams", "unified"])
def either_model(request: pytest.FixtureRequest) -> LlamaCppModel:
    """The small model with a stream a sequence, and with one cache for all."""
    name = "small_model" if request.param == "streams" else "unified_model"
    model = request.getfixturevalue(name)
    assert isinstance(model, LlamaCppModel)
    model.submit(partial(model.arrange, 512)).result()
    assert model._layout.unified == (request.param == "unified")
    return model
