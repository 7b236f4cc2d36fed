"""The tokens of a leaf's text, with their log-probabilities and what could have come in their place."""

from collections.abc import Iterator
from dataclasses import dataclass

from et_agent.engines.sampled import AnyModel
from et_agent.results import Leaf, TokenChoice, TreeReport

__all__ = ["LeafToken", "leaf_tokens"]


@dataclass(frozen=True, slots=True)
class LeafToken:
    """A token of a leaf's text.

    Attributes:
        piece: Its bytes, which may be a part of a character.
        log_prob: Log-probability at temperature 1, nats; None where a server does not tell.
        alternatives: The most likely tokens there, if the tree keeps any.
    """

    piece: bytes
    log_prob: float | None
    alternatives: tuple[TokenChoice, ...] = ()


def leaf_tokens(model: AnyModel, tree: TreeReport, leaf: Leaf) -> Iterator[LeafToken]:
    """Tokens of a leaf's text in order; those of its thought are left out, as the text is without it.

    Args:
        model: The model that decoded the tree.
        tree: The tree.
        leaf: One of its leaves.
    """
    path = [leaf.node]
    while (parent := tree.nodes[path[-1]].parent) is not None:
        path.append(parent)
    left = len(leaf.text.encode("utf-8"))
    begun = False
    for node in (tree.nodes[index] for index in reversed(path)):
        for at, token in enumerate(node.tokens):
            if node.start + at < leaf.reasoning_tokens:
                continue
            piece = model.token_bytes(token)
            if not piece or left <= 0:  # an end token, or cut off with a stop sequence
                continue
            if leaf.reasoning_tokens and not begun and not piece.strip():
                continue  # what stands between the thought and the text
            begun = True
            left -= len(piece)
            near = node.alternatives[at] if node.alternatives is not None else ()
            yield LeafToken(piece, node.log_probs[at], near)
