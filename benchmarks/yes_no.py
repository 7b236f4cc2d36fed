"""Yes/no questions, made of sets that have other answers: the confidence of a direct reading.

    ET_AGENT_DATA=…/raw python -m benchmarks.yes_no decode [--model NAME] [--split fit]
    python -m benchmarks.yes_no tables    # benchmarks/results/yes_no.json, docs/confidence.md

No public set of yes/no questions is at hand. So a question is shown with an answer, and asked whether
that is the answer. It is right in half of them, drawn by seed. Of MMLU the wrong ones are other options
of the question. Of SQuAD 2.0, whose passages come first, they are answers of other questions about the
same passage. The two options, yes and no, are written and read as a decision model's are, in both
orders.

`judge` are test questions of MMLU and the judged articles of `benchmarks.retrieval`, on which no map
was fitted. `fit` are MMLU's validation split and the other articles, to find out why something is so.
One archive per model, benchmarks/results/yes_no/MODEL.jsonl.xz; a call that was stopped goes on.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.documents import put
from benchmarks.machine import describe
from benchmarks.retrieval.questions import questions
from benchmarks.runs import LARGER, SAMPLE_SEED, SMALL
from benchmarks.settings import Variant
from benchmarks.settings.__main__ import decode
from benchmarks.settings.tables import confidences
from et_agent.answers import AnswerKind
from et_agent.answers.choice import options_of, rotations_of
from et_agent.answers.text import normalised
from et_agent.arrays import Bools, Doubles
from et_agent.decoding.direct import Direct
from et_agent.decoding.naming import described
from et_agent.engines.loading import load_model
from et_agent.evaluation.archive import ArchivedRun, RunArchive
from et_agent.evaluation.bootstrap import Interval, Resamples, interval, resampled_means
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.metrics import auroc, brier, ece
from et_agent.evaluation.report import shown, table
from et_agent.storage import write_atomically

RESULTS: Final = Path(__file__).parent / "results" / "yes_no"
SETS: Final = ("mmlu", "squad2")
COUNT: Final = {"judge": 150, "fit": 100}
"""Questions of each set."""
_JUDGED_BEFORE: Final = 400
"""Test questions of MMLU that other tables are about."""
_LOOKED_AT: Final = {"judge": 200, "fit": 130}
"""Answerable questions of SQuAD 2.0, of which those with a wrong answer at hand are taken."""
RESAMPLES: Final = 1000
_DIRECT: Final = Variant(Direct())


def _asked(item_id: str, told: str, asked: str, right: Sequence[str], wrong: str) -> Item:
    """A question with an answer, which is the right one in half of them."""
    is_right = random.Random(f"{SAMPLE_SEED}/{item_id}").random() < 0.5
    said = right[0] if is_right else wrong
    text = f'{told}\n\nQuestion: {asked}\nIs the answer "{said}"?\nA) Yes\nB) No'
    return Item(
        id=item_id,
        question=text.strip(),
        kind=AnswerKind.CHOICE,
        golds=("A" if is_right else "B",),
        subject="yes" if is_right else "no",
    )


def of_mmlu(split: str) -> Iterator[Item]:
    """Questions whose options do not speak of each other."""
    fit = split == "fit"
    items = sample(load_items("mmlu:val" if fit else "mmlu"), None, seed=SAMPLE_SEED)
    for item in items[0 if fit else _JUDGED_BEFORE :]:
        options = options_of(item.question)
        if len(rotations_of(item.question)) < len(options):
            continue
        stem = item.question[: item.question.rindex("\nA) ")].strip()
        (gold,) = item.golds
        wrong = sorted(set(options) - {gold})
        other = random.Random(f"{SAMPLE_SEED}/{item.id}/wrong").choice(wrong)
        yield _asked(f"mmlu/{item.id}", "", stem, [options[gold]], options[other])


def of_squad(split: str) -> Iterator[Item]:
    """Questions that their passage answers, where another one about it has another answer."""
    every = questions("calibrate" if split == "fit" else "judge", _LOOKED_AT[split])
    by_passage: dict[str, list[Item]] = {}
    for one in every:
        if one.answerable:
            by_passage.setdefault(one.passage, []).append(one.item)
    for passage, items in by_passage.items():
        for item in items:
            own = {normalised(gold) for gold in item.golds}
            wrong = [
                gold
                for other in items
                for gold in other.golds[:1]
                if not any(normalised(gold) in one or one in normalised(gold) for one in own)
            ]
            if wrong:
                said = random.Random(f"{SAMPLE_SEED}/{item.id}/wrong").choice(wrong)
                yield _asked(f"squad2/{item.id}", passage, item.question, item.golds, said)


def items_of(name: str, split: str) -> list[Item]:
    """The questions of a set."""
    found: list[Item] = []
    for item in (of_mmlu if name == "mmlu" else of_squad)(split):
        if len(found) == COUNT[split]:
            break
        found.append(item)
    return found


def archive_of(model: str) -> RunArchive:
    return RunArchive(RESULTS / f"{model}.jsonl.xz")


def decode_all(models: Sequence[str], split: str, most: int | None) -> None:
    """Read what is not in the archive yet."""
    for name in models:
        archive = archive_of(name)
        with load_model(name) as model:
            for data in SETS:
                key = f"{data}/{split}"
                if key in archive:
                    continue
                items = items_of(data, split)[:most]
                begun = archive.path.with_name(f".{name}-{data}-{split}.jsonl")
                began = time.monotonic()
                records = decode(model, items, _DIRECT, "model", begun)
                seconds = time.monotonic() - began
                right = np.mean([one.correct for one in records])
                print(
                    f"{name} {key}: {len(records)}, {right:.3f}, {seconds:.0f} s", file=sys.stderr
                )
                if most is None:
                    config = {
                        "data": key,
                        "model": {"name": name, "fingerprint": model.info.fingerprint},
                        "decoder": described(_DIRECT.decoder),
                        "library": model.info.library,
                    }
                    archive.put({key: ArchivedRun(key, config, records, len(records))})
                    begun.unlink()


def figures(
    right: Bools, values: Mapping[str, Doubles], passages: Sequence[str], *, seed: int
) -> dict[str, dict[str, Doubles]]:
    """Metrics of each way to rank, [resamples + 1] each; the Brier score also minus the share's.

    Questions about one passage are resampled together.
    """
    counts = Resamples.of_groups(passages, resamples=RESAMPLES, seed=seed).counts
    return {
        name: {
            "accuracy": resampled_means(right.astype(np.float64), counts),
            "AUROC": auroc(right, value, counts),
            "ECE": ece(right, value, counts),
            "Brier": brier(right, value, counts),
            "Brier minus the share's": brier(right, value, counts)
            - brier(right, values["share"], counts),
        }
        for name, value in values.items()
    }


def _passage(item: Item) -> str:
    """The passage of a question, as `_asked` tells it; the question itself where it has none."""
    return item.question.rpartition("\n\nQuestion: ")[0] or item.question


def compared(model: str, split: str) -> Iterator[tuple[str, int, dict[str, dict[str, Interval]]]]:
    """Sets, questions and figures by what ranks; last those of both, each set resampled by itself."""
    found = []
    total = 0
    for seed, data in enumerate(SETS):
        run = archive_of(model).get(f"{data}/{split}")
        if run is None:
            continue
        records = list(run.records)
        right = np.array([one.correct for one in records])
        values = {
            "confidence": confidences(model, records),
            "share": np.array([float(one.leaves.shares.max()) for one in records]),
        }
        passage_of = {item.id: _passage(item) for item in items_of(data, split)}
        passages = [passage_of[one.item] for one in records]
        found.append(figures(right, values, passages, seed=seed))
        total += right.size
        yield data, right.size, _intervals(found[-1:], right.size)
    if len(found) > 1:
        yield "mean of both", total, _intervals(found, total)


def _intervals(
    sets: Sequence[dict[str, dict[str, Doubles]]], questions: int
) -> dict[str, dict[str, Interval]]:
    first = sets[0]
    return {
        way: {
            name: interval(
                np.mean([one[way][name] for one in sets], axis=0), questions, basic=name == "ECE"
            )
            for name in first[way]
        }
        for way in first
    }


def write_tables() -> None:
    """Write what was found to the docs and to benchmarks/results/yes_no.json."""
    document: dict[str, Any] = {"machine": describe()}
    rows = []
    for model in (SMALL, LARGER):
        for data, count, ways in compared(model, "judge"):
            for way, found in ways.items():
                document[f"{model}, {data}, {way}"] = {
                    "questions": count,
                    **{name: asdict(one) for name, one in found.items()},
                }
                cells = [shown(one) for one in found.values()]
                rows.append([model, data, way, str(count), *cells[:-1]])
                rows[-1].append(cells[-1] if way == "confidence" else "")
    write_atomically(RESULTS.with_suffix(".json"), json.dumps(document, indent=1) + "\n")
    head = ["model", "set", "what ranks", "questions", "accuracy", "AUROC", "ECE", "Brier"]
    put("docs/confidence.md", "yes-no", table([*head, "Brier minus the share's"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["decode", "tables"])
    parser.add_argument("--model", choices=[SMALL, LARGER], action="append")
    parser.add_argument("--split", choices=list(COUNT), default="judge")
    parser.add_argument(
        "--most", type=int, help="stop at as many questions of a set, to see the time"
    )
    options = parser.parse_args()
    if options.command == "decode":
        decode_all(options.model or [SMALL, LARGER], options.split, options.most)
    else:
        write_tables()


if __name__ == "__main__":
    main()
