"""LangChain's own integration tests, against real models on one thread.

The small model has no tools in its chat template and loses its way in JSON, so tool calling and
structured output are tested with the larger one. Images, sound and PDF are not supported.
"""

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_et_agent import ChatEntropyTree
from langchain_tests.integration_tests import ChatModelIntegrationTests

from et_agent.weights.catalog import locate

_SHARED = {"context": 2048, "leaves": 2, "max_sequences": 16, "max_tokens": 64, "threads": 1}


class _Standard(ChatModelIntegrationTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatEntropyTree


@pytest.mark.model
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestSmallModel(_Standard):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m", **_SHARED}

    @property
    def has_tool_calling(self) -> bool:
        return False  # its template knows no tools

    @property
    def has_structured_output(self) -> bool:
        return False  # it may, but is too small to come to the end of a joke

    @property
    def model_override_value(self) -> str:
        return str(locate("smollm2-135m").path)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
class TestModelWithTools(_Standard):
    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "qwen2.5-coder-0.5b", **_SHARED}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return str(locate("qwen2.5-coder-0.5b").path)
