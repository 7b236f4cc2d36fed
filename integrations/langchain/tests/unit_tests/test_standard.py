"""LangChain's own unit tests. No weights are loaded: models are loaded when they are first used."""

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_et_agent import ChatEntropyTree


class TestChatEntropyTree(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatEntropyTree

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "smollm2-135m"}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        # No key and no address: what the environment says, ET_AGENT_CACHE, is the model folder's.
        return {}, {}, {}
