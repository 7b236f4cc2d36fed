"""What the user should know about a result besides its numbers."""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from et_agent.arrays import Doubles
from et_agent.decoding.base import DecoderSettings, Run
from et_agent.decoding.request import Request
from et_agent.decoding.sampled import SampledRequest
from et_agent.decoding.schedules import EntropyTree
from et_agent.decoding.schedules.backward import BackwardRun
from et_agent.decoding.schedules.overlapped import OverlappedRun
from et_agent.decoding.schedules.rounds import RoundsRun
from et_agent.decoding.thinking import Thoughts
from et_agent.decoding.tree import Finish
from et_agent.engines.base import LanguageModel
from et_agent.results import AnswerShare, SteeringSign
from et_agent.uncertainty.leaves import SHARE_DIGITS
from et_agent.wording import counted, noun

__all__ = ["is_about_size", "run_notes", "steering_notes", "thought_notes", "warnings"]

_MUCH_CUT_OFF: Final = 0.2
_SIZE: Final = re.compile(r"[\d,]+(?: of at most [\d,]+)? lea(?:f|ves): ")
_NOT_WORTH: Final = "no other fork would be worth its tokens"


def run_notes(request: Request, decoder: DecoderSettings) -> list[str]:
    """What was adapted, cut off or done without while a tree was decoded."""
    run, notes = request.run, []
    if run.cancelled:
        running = sum(b.codes for b in run.tree.branches if b.finish is Finish.CANCELLED)
        notes.append(
            f"interrupted: {counted(running, 'leaf', 'leaves')} {noun(running, 'was', 'were')} not "
            "finished; those without an answer so far count as none"
        )
    cut = any(branch.finish is Finish.LENGTH for branch in run.tree.branches)
    if isinstance(request, SampledRequest):
        return [*notes, *_sampled_notes(request)]
    assert isinstance(request.model, LanguageModel)
    info = request.model.info
    if cut and run.max_tokens < decoder.max_tokens:
        what = f"the context of {info.context}"
        if info.longest_path < info.context:
            what = f"this model's longest path of {info.longest_path} tokens"
        notes.append(
            f"{what} leaves room for {run.max_tokens} tokens after the prompt, so paths were cut "
            f"there instead of at {decoder.max_tokens}"
        )
    if request.recomputed:
        notes.append(
            f"the cache was too small for all branches at once: {request.recomputed} tokens were "
            "decoded again; a larger context, or fewer questions at once, is faster"
        )
    if (store := request.model.prefixes) is not None and store.note:
        notes.append(store.note)
    if isinstance(decoder, EntropyTree):
        notes += _tree_notes(request, decoder)
    elif run.stopped is not None:
        notes.append(f"{counted(run.tree.leaf_count(), 'leaf', 'leaves')}: {_why_fewer(run)}")
    return notes


def is_about_size(note: str) -> bool:
    """Whether a note says no more than how many leaves a tree has, and why not more."""
    return _SIZE.match(note) is not None


def steering_notes(signs: Sequence[SteeringSign]) -> list[str]:
    """That texts from outside speak to the model, with the first place."""
    if not signs:
        return []
    return [
        f"{signs[0].where} speaks to the model: “{signs[0].text}”; it may have done what that says, "
        "and the confidence knows nothing of it"
    ]


def _sampled_notes(request: SampledRequest) -> list[str]:
    tree = request.run.tree
    log_probs = [one for branch in tree.branches for one in branch.log_probs]
    notes = []
    if request.run.stopped is not None:
        notes.append(f"{counted(tree.leaf_count(), 'leaf', 'leaves')}: {_why_fewer(request.run)}")
    if log_probs and all(map(math.isnan, log_probs)):
        notes.append(
            "the server tells no log-probabilities: what depends on them was not measured, and lengths "
            "of paths are in words"
        )
    elif log_probs:
        notes.append("the server gives samples, no logits: entropies of tokens were not measured")
    return notes


def _tree_notes(request: Request, decoder: EntropyTree) -> list[str]:
    notes = []
    leaves = request.run.tree.leaf_count()
    if leaves < decoder.leaves and not request.run.cancelled:
        notes.append(f"{leaves} of at most {decoder.leaves} leaves: {_why_fewer(request.run)}")
    if decoder.reads_attention and not request.model.info.attention_layers:
        notes.append("this model gives no attention: forks were chosen without it")
    if isinstance(request.run, BackwardRun) and request.run.takes_own_percentile:
        notes.append(
            "no pilot for this model: tau is a percentile of this question's own tokens; "
            "`et-agent pilot` measures it beforehand"
        )
    return notes


def _why_fewer(run: Run) -> str:
    if run.stopped == "decided":
        return "more would hardly change what is decided"
    if isinstance(run, RoundsRun):
        if run.stopped == "above":
            return f"the leading answer had {run.settings.stop_above:.0%} of the weight or more"
        if run.stopped == "below":
            return f"no answer had more than {run.settings.stop_below:.0%} of the weight"
        if run.settings.value == "value_per_token":
            return _NOT_WORTH
    if isinstance(run, OverlappedRun):
        return _NOT_WORTH
    return "no other position meets the settings for a fork"


def thought_notes(thoughts: Thoughts | None, closed: Sequence[bool], weights: Doubles) -> list[str]:
    """How many thoughts were closed by force.

    Args:
        thoughts: Tells thoughts from answers, with their limit; None where the model has none.
        closed: Whether the thought of each leaf was, [leaves].
        weights: Path weights, [leaves].
    """
    share = float(weights[np.array(closed, dtype=np.bool_)].sum())
    if thoughts is None or not share or not thoughts.limit:
        return []
    return [
        f"thoughts of paths with {share:.0%} of the weight were closed after {thoughts.limit} tokens: "
        "allow more (max_thinking_tokens)"
    ]


def warnings(
    distribution: Sequence[AnswerShare],
    cut_off_share: float,
    max_tokens: int,
    *,
    votes: bool = True,
) -> list[str]:
    """What makes the numbers say less than they seem to.

    Args:
        distribution: p(a|x), heaviest first.
        cut_off_share: Weight of the leaves that did not end by themselves; 0 for an interrupted
            tree, which nothing has cut off.
        max_tokens: Longest path, tokens.
        votes: Whether the answer is chosen by its share.
    """
    notes = []
    if cut_off_share >= _MUCH_CUT_OFF:
        notes.append(
            f"paths with {cut_off_share:.0%} of the weight did not end within {max_tokens} "
            f"{noun(max_tokens, 'token')}: allow more (max_tokens)"
        )
    shares = [round(one.share, SHARE_DIGITS) for one in distribution if one.answer is not None]
    tied = shares.count(max(shares, default=0.0))
    if votes and tied > 1:
        notes.append(
            f"{tied} answers have the same share: the one with the likeliest words comes first"
        )
    unanswered = sum(one.share for one in distribution if one.answer is None)
    if not shares:
        notes.append("no leaf gave an answer: an entropy of 0 does not mean that the model is sure")
    elif unanswered > 0.5:
        notes.append("most of the weight gave no answer: the answer is that of a minority")
    return notes
