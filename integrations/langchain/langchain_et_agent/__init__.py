"""et-agent in LangChain."""

from langchain_et_agent.chat_models import ChatEntropyTree

__all__ = ["ChatEntropyTree"]
