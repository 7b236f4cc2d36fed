"""Leaf statistics out of a finished tree: the columns of `LeafTable`, and arrays along tokens."""

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from et_agent.answers import Extracted
from et_agent.arrays import Doubles, Ints
from et_agent.decoding.tree import Branch, Finish, Tree
from et_agent.uncertainty.leaf_table import FORKS, LeafTable

__all__ = [
    "answer_tokens",
    "leaf_table",
    "rauq",
    "span_log_probs",
    "span_statistics",
    "traces",
    "windows",
]


WINDOW: Final = 64
"""Tokens in a confidence window; DeepConf has 1,024 and more, for chains of tens of thousands."""
_FINISHES: Final = {Finish.STOP: 0, Finish.LENGTH: 1, Finish.CANCELLED: 2}
_RAUQ_ALPHA: Final = 0.5  # for instruction-tuned models
_TINY: Final = 1e-12


def leaf_table(
    tree: Tree,
    classes: Sequence[int | None],
    answers: Sequence[Extracted | None],
    token_bytes: Callable[[int], bytes],
) -> LeafTable:
    """The statistics of all leaves of a finished tree, in the order of their making.

    Args:
        tree: The tree.
        classes: Answer class of each leaf, None for none.
        answers: What each leaf says, None for nothing.
        token_bytes: The bytes a token stands for.
    """
    given = [-1 if index is None else index for index in classes]
    rows = [
        _leaf(tree, branch, answer, token_bytes)
        for branch, answer in zip(tree.branches, answers, strict=True)
    ]
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in rows[0]}
    branches = tree.branches
    return LeafTable(
        answer=np.array(given, dtype=np.int64),
        weight=tree.weights(),
        count=np.array([branch.codes for branch in branches], dtype=np.int64),
        finish=np.array([_FINISHES[_finish(b)] for b in branches], dtype=np.int64),
        tokens=np.array([branch.end for branch in branches], dtype=np.int64),
        parent=np.array([-1 if b.parent is None else b.parent for b in branches], dtype=np.int64),
        start=np.array([branch.start for branch in branches], dtype=np.int64),
        fork=np.array([_fork_kind(tree, branch) for branch in branches], dtype=np.int64),
        **columns,
    )


def _fork_kind(tree: Tree, branch: Branch) -> int:
    into = tree.fork_into(branch.id)
    return -1 if into is None else FORKS.index(into.kind.value)


def _finish(branch: Branch) -> Finish:
    return Finish.CANCELLED if branch.finish is None else branch.finish


def _leaf(
    tree: Tree, branch: Branch, answer: Extracted | None, token_bytes: Callable[[int], bytes]
) -> dict[str, float]:
    pieces = tree.segments(branch.id)

    def along(values: Callable[[Branch], Sequence[Any]]) -> list[Any]:
        return _along(pieces, values)

    statistics = np.array(along(lambda piece: piece.statistics), dtype=np.float64).reshape(-1, 5)
    log_probs = np.array(along(lambda piece: piece.log_probs), dtype=np.float64)
    entropy, _, certainty, confidence, lead = statistics.T
    book = tree.attention
    prompt_attention = near = []
    if book is not None:
        prompt_attention = along(lambda piece: book.of(piece.id).prompt)
        near = along(lambda piece: book.of(piece.id).near)
    attended = np.array(near, dtype=np.float64) if near else None
    span = answer_tokens([token_bytes(token) for token in tree.path(branch.id)], answer)
    return {
        "log_prob": float(log_probs.sum()),
        "tail_log_prob": _mean(log_probs[-WINDOW:]),
        "entropy": _mean(entropy),
        "peak_entropy": float(entropy.max()) if entropy.size else math.nan,
        "certainty": _mean(certainty),
        "confidence": _mean(confidence),
        **windows(confidence),
        "answer_margin": math.nan if span is None else _mean(lead[span]),
        "answer_log_prob": math.nan if span is None else float(log_probs[span].sum()),
        "rauq": math.nan if attended is None else rauq(log_probs, attended),
        "attention_score": math.nan if attended is None else _attention_score(attended),
        "prompt_attention": _mean(np.array(prompt_attention, dtype=np.float64)),
    }


def _along(
    pieces: Sequence[tuple[Branch, int, int]], values: Callable[[Branch], Sequence[Any]]
) -> list[Any]:
    """Values of a whole path, from its segments; empty when one of them has none."""
    found: list[Any] = []
    for piece, low, high in pieces:
        part = values(piece)[low - piece.start : high - piece.start]
        if len(part) < high - low:
            return []
        found.extend(part)
    return found


def _mean(values: Doubles) -> float:
    return float(values.mean()) if values.size else math.nan


def windows(confidence: Doubles) -> dict[str, float]:
    """DeepConf's tail, lowest group and bottom tenth of groups (arXiv 2508.15260)."""
    if not confidence.size:
        return dict.fromkeys(
            ("tail_confidence", "lowest_confidence", "bottom_confidence"), math.nan
        )
    width = min(WINDOW, confidence.size)
    sums = np.cumsum(np.concatenate([[0.0], confidence]))
    means = np.sort((sums[width:] - sums[:-width]) / width)
    bottom = means[: max(1, round(0.1 * means.size))]
    return {
        "tail_confidence": float(confidence[-width:].mean()),
        "lowest_confidence": float(means[0]),
        "bottom_confidence": float(bottom.mean()),
    }


def answer_tokens(pieces: Sequence[bytes], answer: Extracted | None) -> slice | None:
    """The tokens that hold a leaf's answer; None when it is not found.

    The last braces around the answer's text, as in a box, else its last occurrence; of a longer text
    the value that was read from it, as a word of its own: of several the first in a box, else the
    last.
    """
    if answer is None or not answer.raw:
        return None
    ends = np.cumsum([len(piece) for piece in pieces])
    text, wanted = b"".join(pieces), answer.raw.encode()
    start = text.rfind(b"{" + wanted + b"}") + 1 or text.rfind(wanted)
    if start < 0:
        return None
    value = answer.value.encode()
    within = [found.start() for found in _as_word(value).finditer(wanted)] if value else []
    if within:
        start += within[0 if answer.found_by == "boxed" else -1]
        wanted = value
    ((first, after),) = _tokens_of(ends, np.array([[start, start + len(wanted)]])).tolist()
    return slice(first, after)


def _tokens_of(ends: Ints, spans: Ints) -> Ints:
    """First token and the one after the last of each span of bytes, [n, 2].

    Args:
        ends: Where each token's bytes end, [tokens].
        spans: First byte and the one after the last, [n, 2].
    """
    first = np.searchsorted(ends, spans[:, 0], side="right")
    return np.column_stack([first, np.searchsorted(ends, spans[:, 1] - 1, side="right") + 1])


def span_statistics(
    tree: Tree, leaf: int, spans: Ints, token_bytes: Callable[[int], bytes]
) -> tuple[Doubles, Doubles]:
    """How likely the model found parts of a path's text, as `LeafTable` has it of the answer.

    Args:
        tree: The tree.
        leaf: The branch that ends in the leaf.
        spans: First byte of each part and the one after its last, int64 [n, 2], not empty and within
            the text. A token counts with the parts that it holds a byte of.
        token_bytes: The bytes a token stands for.

    Returns:
        Log-probability of the tokens of each part, nats, [n]; mean of p1 - p2 over them, [n].
    """
    total, tokens = _span_sums(tree, leaf, spans, token_bytes)
    return np.minimum(total[:, 0], 0.0), total[:, 1] / tokens


def span_log_probs(
    tree: Tree, leaf: int, spans: Ints, token_bytes: Callable[[int], bytes]
) -> Doubles:
    """Mean log-probability of the tokens of parts of a path, nats, [n]; see `span_statistics`."""
    total, tokens = _span_sums(tree, leaf, spans, token_bytes)
    return np.minimum(total[:, 0] / tokens, 0.0)


def _span_sums(
    tree: Tree, leaf: int, spans: Ints, token_bytes: Callable[[int], bytes]
) -> tuple[Doubles, Ints]:
    """Sums over the tokens of each part of log-probability and p1 - p2, [n, 2]; how many these are."""
    pieces = tree.segments(leaf)
    log_probs = np.array(_along(pieces, lambda piece: piece.log_probs), dtype=np.float64)
    leads = np.array([one.lead for one in _along(pieces, lambda piece: piece.statistics)])
    ends = np.cumsum([len(token_bytes(token)) for token in tree.path(leaf)])
    first, after = _tokens_of(ends, spans).T
    sums = np.cumsum(np.column_stack([log_probs, leads]), axis=0)
    before = np.vstack([np.zeros(2), sums])
    return before[after] - before[first], after - first


@functools.lru_cache(256)
def _as_word(value: bytes) -> re.Pattern[bytes]:
    """The value, but not within a word or a longer number."""
    return re.compile(rb"(?<!\w)(?<!\d[.,])" + re.escape(value) + rb"(?!\w)(?![.,]\d)")


def rauq(log_probs: Doubles, near: Doubles) -> float:
    """RAUQ of a path (arXiv 2505.20045): uncertainty, nats per token.

    c_1 = p_1, c_j = a p_j + (1 - a) A_{j, j-1} c_{j-1} with a = 0.5, where A is the attention of
    token j on the one before, of the head of each layer whose mean over the path is largest; the
    result is the largest -mean log c of all layers. The paper takes the middle third of the layers,
    we those that are read.

    Args:
        log_probs: Log-probability of each token, nats, float64 [n].
        near: Attention [n, layers, heads, 2] of the query that decides each token, on the token
            before it and on itself; the last token is not a query yet and is left out.

    Returns:
        NaN for a path of fewer than two tokens.
    """
    if log_probs.size < 2:
        return math.nan
    # The query that decides token j + 1 is token j.
    previous = near[1:, :, :, 0]
    probabilities = np.exp(log_probs[:-1])
    heads = previous.mean(axis=0).argmax(axis=1)
    found = -math.inf
    for layer, head in enumerate(heads.tolist()):
        confidence = probabilities[0]
        total = math.log(max(confidence, _TINY))
        for p, attention in zip(probabilities[1:], previous[1:, layer, head], strict=True):
            confidence = _RAUQ_ALPHA * p + (1.0 - _RAUQ_ALPHA) * attention * confidence
            total += math.log(max(confidence, _TINY))
        found = max(found, -total / probabilities.size)
    return found


def _attention_score(near: Doubles) -> float:
    """Mean log attention of a token on itself, over tokens, heads and layers that are read.

    After LLM-Check (Sriramanan et al. 2024), whose sum grows with length; ours is a mean.
    """
    own = near[1:, :, :, 1]
    return float(np.log(np.maximum(own, 1e-7)).mean()) if own.size else math.nan


def traces(tree: Tree) -> dict[str, NDArray[Any]]:
    """Arrays along all own tokens of all branches, one branch after the other.

    Returns:
        parent, start, length, finish: int32 [branches]; parent -1 for the first branch.
        weight: float64 [branches].
        tokens: int32 [tokens]; log_probs, entropies, varentropies, certainties, confidences, leads:
            float16 [tokens].
    """
    branches = tree.branches
    statistics = np.array(
        [one for branch in branches for one in branch.statistics], dtype=np.float64
    ).reshape(-1, 5)
    names = ("entropies", "varentropies", "certainties", "confidences", "leads")
    whole = {
        "parent": [-1 if b.parent is None else b.parent for b in branches],
        "start": [branch.start for branch in branches],
        "length": [len(branch.tokens) for branch in branches],
        "finish": [_FINISHES[_finish(branch)] for branch in branches],
        "tokens": [token for branch in branches for token in branch.tokens],
    }
    log_probs = [value for branch in branches for value in branch.log_probs]
    return {
        **{name: np.array(values, dtype=np.int32) for name, values in whole.items()},
        "weight": tree.weights(),
        "log_probs": _half(np.array(log_probs, dtype=np.float64)),
        **{name: _half(statistics[:, at]) for at, name in enumerate(names)},
    }


def _half(values: Doubles) -> NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)
    return np.clip(values, -largest, largest).astype(np.float16)
