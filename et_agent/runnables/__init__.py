"""Trees and gates as LangChain runnables. Of LangChain, only langchain-core is needed.

from langchain_core.prompts import ChatPromptTemplate
from et_agent.gate import GatePolicy
from et_agent.runnables import EntropyTreeRunnable, GateRunnable

prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
tree = EntropyTreeRunnable(model="qwen2.5-coder-0.5b", leaves=8)
gate = GateRunnable(gate=GatePolicy(answer_at=0.8))
decision = (prompt | tree | gate).invoke({"question": "What is 15 % of 240?"})
"""

from et_agent.runnables.events import ForkSeen, LeafSeen, TreeSnapshot
from et_agent.runnables.gate import GateRunnable
from et_agent.runnables.tree import EntropyTreeRunnable

__all__ = ["EntropyTreeRunnable", "ForkSeen", "GateRunnable", "LeafSeen", "TreeSnapshot"]
