"""LangChain's own integration tests, against real models on one thread, here and behind a server.

The small model has no tools in its chat template and loses its way in JSON, so tool calling and
structured output are tested with the larger one. Every flag that models of text can have is set for
that, but for counts of reasoning tokens, since it has no thoughts. Images, sound and PDF are not
supported. The server is one of the tests' own, with the same model behind it.
"""

import functools
import operator
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_et_agent import ChatEntropyTree, close_engines
from langchain_tests.integration_tests import ChatModelIntegrationTests

from et_agent.engines.loading import load_model
from et_agent.weights.catalog import locate
from tests.engines.openai_server import model_behind, serving

_LONG = "Answer in one word. " * 40 + "What"
_Details = dict[
    Literal["invoke", "stream"],
    list[
        Literal[
            "audio_input",
            "audio_output",
            "reasoning_output",
            "cache_read_input",
            "cache_creation_input",
        ]
    ],
]
_SHARED = {"context": 2048, "leaves": 2, "max_sequences": 16, "max_tokens": 64, "threads": 1}


class _Standard(ChatModelIntegrationTests):
    weights = ""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatEntropyTree

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": self.weights, **_SHARED}

    @property
    def model_override_value(self) -> str:
        return str(locate(self.weights).path)

    @property
    def supported_usage_metadata_details(self) -> _Details:
        return {"invoke": ["cache_read_input"], "stream": ["cache_read_input"]}

    def invoke_with_cache_read_input(self, *, stream: bool = False) -> AIMessage:
        """A prompt whose beginning was asked before."""
        chat = ChatEntropyTree(**self.chat_model_params)
        chat.invoke(f"{_LONG} colour is the sky?")
        asked = f"{_LONG} colour is grass?"
        if not stream:
            return chat.invoke(asked)
        whole = functools.reduce(operator.add, chat.stream(asked))
        assert isinstance(whole, AIMessage)
        return whole


class _Small(_Standard):
    weights = "smollm2-135m"

    @property
    def has_tool_calling(self) -> bool:
        return False  # its template knows no tools

    @property
    def has_structured_output(self) -> bool:
        return False  # it may, but is too small to come to the end of a joke


class _WithTools(_Standard):
    weights = "qwen2.5-coder-0.5b"

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestSmallModel(_Small):
    """In this process."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestModelWithTools(_WithTools):
    """In this process."""


@pytest.fixture(scope="class")
def served(request: pytest.FixtureRequest) -> Iterator[None]:
    """The class's model behind a server with OpenAI's interface."""
    settings: dict[str, Any] = {"context": 2048, "max_sequences": 16, "threads": 1}
    with (
        load_model(request.cls.weights, **settings) as model,
        serving(model_behind(model)) as server,
    ):
        request.cls.url = server.url
        yield
        close_engines()


@pytest.mark.usefixtures("served")
class _Served:
    url = ""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": f"{self.url}#tiny", "leaves": 2, "max_tokens": 64}

    @property
    def model_override_value(self) -> str:
        return ""  # messages name the server's model, not its address, which the test looks for


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestSmallModelServed(_Served, _Small):
    """Behind a server."""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestModelWithToolsServed(_Served, _WithTools):
    """Behind a server."""
