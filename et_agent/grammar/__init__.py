"""Grammars through llguidance: what a reply may be, as masks over a model's vocabulary.

`json_rule` and `literal` give the parts of a grammar in Lark's syntax, `GrammarConstraint` runs it, and
`call_grammar` is that of tool calls.
"""

from et_agent.grammar.calls import call_grammar
from et_agent.grammar.constraint import GrammarConstraint, literal
from et_agent.grammar.schemas import json_rule

__all__ = ["GrammarConstraint", "call_grammar", "json_rule", "literal"]
