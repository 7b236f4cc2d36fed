"""Decodes the questions of a split that a run lacks."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from benchmarks.retrieval.keeping import Kept, Run
from benchmarks.retrieval.questions import Asked, questions
from benchmarks.runs import LARGER, SMALL
from et_agent.answers import AnswerKind
from et_agent.answers.containing import words_beside
from et_agent.asking import submit
from et_agent.asking.grounding import checks_of
from et_agent.asking.passages import passage_instruction
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding.base import RunInputs
from et_agent.decoding.naming import described
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.schedules import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.running import question_seed, record_of

DECODER: Final = EntropyTree(leaves=8, max_tokens=64)
_AT_ONCE: Final = 8
"""Questions that share batches; what is finished is kept after so many."""


def decode(name: str, split: str, count: int, minutes: float) -> None:
    """Decode so many questions of each sort, as far as the time allows."""
    run, began = Run.of(name, split), time.monotonic()
    missing = [one for one in questions(split, count) if one.item.id not in run.kept]
    with load_model(name) as model:
        config = _config(model, split)
        if run.config and dict(run.config) != config:
            raise SystemExit(
                f"{run.path} was decoded in another way: remove it, or restore that way"
            )
        run.config = config
        for at in range(0, len(missing), _AT_ONCE):
            for one in _decoded(model, missing[at : at + _AT_ONCE]):
                run.kept[one.record.item] = one
            run.save()
            spent = (time.monotonic() - began) / 60
            right = sum(one.record.correct for one in run.kept.values()) / len(run.kept)
            print(
                f"{spent:6.1f} min  {name} {split}: {len(run.kept)} of {2 * count}, right {right:.3f}",
                file=sys.stderr,
                flush=True,
            )
            if spent > minutes:
                print("stopped; the same call goes on", file=sys.stderr)
                return


def _config(model: LanguageModel, split: str) -> dict[str, Any]:
    return {
        "format": "et-agent retrieval 1",
        "split": split,
        "model": {"name": model.info.name, "fingerprint": model.info.fingerprint},
        "seed": 0,
        "chat": "model",
        "passages": True,
        "instructions": {"text": passage_instruction(AnswerKind.TEXT)},
        "decoder": described(DECODER),
        "library": model.info.library,
    }


def _decoded(model: LanguageModel, part: Sequence[Asked]) -> list[Kept]:
    pending = [
        submit(
            model,
            asked.item.question,
            context=asked.passage,
            decoder=DECODER,
            kind=asked.item.kind,
            seed=question_seed(0, asked.item),
            calibrator=None,
        )
        for asked in part
    ]
    return [_kept(asked, one) for asked, one in zip(part, pending, strict=True)]


def _kept(asked: Asked, pending: PendingAnswer) -> Kept:
    record, _, _ = record_of(asked.item, pending)
    reading = pending.reading()
    found = pending.grounding()
    made = Kept(
        record=record,
        place=asked.place,
        answerable=asked.answerable,
        golds=asked.item.golds,
        declined=reading.declined,
        leaves=tuple(None if one is None else one.raw for one in reading.answers),
        beside=(),
        grounding=None if found is None else _rounded(asdict(found)),
    )
    return measured(asked, made)


def measured(asked: Asked, kept: Kept) -> Kept:
    """A question with what its passage alone tells of its answers."""
    answers, question = kept.record.answers, asked.item.question
    beside = (words_beside(asked.passage, one, question) for one in answers)
    return replace(
        kept,
        beside=tuple(round(one, 4) for one in beside),
    )


def measure(split: str, count: int) -> None:
    """Measure it anew for what is kept of so many questions of each sort; nothing is decoded."""
    asked = {one.item.id: one for one in questions(split, count)}
    for name in (SMALL, LARGER):
        run = Run.of(name, split)
        if run.kept:
            run.kept = {at: measured(asked[at], one) for at, one in run.kept.items()}
            run.save()
            print(f"{name} {split}: {len(run.kept)}")


def read(name: str, split: str, count: int) -> None:
    """Read how likely the question is, given its answer, of what was kept before that was read."""
    asked = {one.item.id: one for one in questions(split, count)}
    run = Run.of(name, split)
    lacking = [
        (one, one.grounding)
        for one in run.kept.values()
        if one.grounding is not None and "asked" not in one.grounding
    ]
    with load_model(name) as model:
        scheduler, stop = scheduler_of(model), model.info.stop_tokens
        for at in range(0, len(lacking), _AT_ONCE):
            waiting = []
            for one, known in lacking[at : at + _AT_ONCE]:
                about = asked[one.record.item]
                found = checks_of(model, [about.passage], about.item.question, known["answer"])
                pending = None
                if found is not None:
                    _, (prompt, forced) = found
                    inputs = RunInputs(prompt_length=len(prompt), stop_tokens=stop)
                    pending = scheduler.submit(prompt, forced, inputs)
                waiting.append((one, known, pending))
            for one, known, pending in waiting:
                log_probs = () if pending is None else pending.result().tree.branches[0].log_probs
                grounding = _rounded({**known, "asked": tuple(log_probs)})
                run.kept[one.record.item] = replace(one, grounding=grounding)
            run.save()
            print(f"{name} {split}: {at + len(waiting)} of {len(lacking)}", file=sys.stderr)


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    def short(value: Any) -> Any:
        if isinstance(value, float):
            return None if math.isnan(value) else float(f"{value:.6g}")
        return [short(one) for one in value] if isinstance(value, tuple) else value

    return {name: short(value) for name, value in values.items() if name != "key"}
