"""What moves the level of a confidence: settings, prompts, passages, questions nobody can answer.

    ET_AGENT_DATA=…/raw python -m benchmarks.settings decode [--model NAME] [--only SET/VARIANT,…]

The same questions are decoded under many settings. They come from training splits, from SQuAD 2.0 and
from benchmarks/questions, so no test question of `benchmarks.runs` is among them. One archive per
model holds the results, benchmarks/results/settings/MODEL.jsonl.xz; what it holds already is not
decoded again. `benchmarks.confidence` reads them.
"""

import argparse
import json
import queue
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from benchmarks.runs import LARGER, SAMPLE_SEED, SMALL, TRAINING
from et_agent.answers import AnswerKind, instruction
from et_agent.asking import submit
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.archive import ArchivedRun, RunArchive
from et_agent.evaluation.datasets import load_items
from et_agent.evaluation.datasets.locating import data_folder
from et_agent.evaluation.items import Item, sample
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.running import question_seed, record_of
from et_agent.gate.early import EARLY
from et_agent.uncertainty.self_evaluation import p_answerable

RESULTS: Final = Path(__file__).parent / "results" / "settings"
QUESTIONS: Final = Path(__file__).parent / "questions"
TINY: Final = "smollm2-135m"
_AT_ONCE: Final = 32
_NOTHING: Final = (
    "unanswerable",
    "unknown",
    "not stated",
    "not given",
    "not mentioned",
    "not specified",
    "no answer",
    "none",
    "impossible",
    "cannot be determined",
)
"""What is right where a question has no answer."""


def _word_problems() -> list[Item]:
    """The first 40 of each training set."""
    plans = {plan.name: plan for plan in TRAINING}
    return [
        item
        for name in ("train-svamp", "train-gsm8k")
        for item in sample(plans[name].items(), 40, seed=SAMPLE_SEED)
    ]


def _choices() -> list[Item]:
    return sample(load_items("mmlu:val"), 60, seed=SAMPLE_SEED)


def _trivia() -> list[Item]:
    return sample(load_items("nq-open:train"), 60, seed=SAMPLE_SEED)


@cache
def _squad() -> list[tuple[Item, str]]:
    """Forty questions that their passage answers and forty that it does not, with passages."""
    document = json.loads(_file("squad2", "dev-even-articles.json").read_text(encoding="utf-8"))
    found: dict[bool, list[Item]] = {True: [], False: []}
    passages = {}
    for article in document["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                impossible = bool(one["is_impossible"])
                golds = _NOTHING if impossible else tuple(a["text"] for a in one["answers"])
                passages[one["id"]] = paragraph["context"]
                found[impossible].append(
                    Item(
                        id=one["id"],
                        question=one["question"],
                        kind=AnswerKind.TEXT,
                        golds=tuple(dict.fromkeys(golds)),
                        subject="impossible" if impossible else "answerable",
                    )
                )
    items = [item for group in found.values() for item in sample(group, 40, seed=SAMPLE_SEED)]
    return [(item, passages[item.id]) for item in items]


def _passages() -> list[Item]:
    return [replace(item, question=f"{passage}\n\n{item.question}") for item, passage in _squad()]


def _closed_book() -> list[Item]:
    return [item for item, _ in _squad() if item.subject == "answerable"]


def _file(*parts: str) -> Path:
    folder = data_folder()
    if folder is None or not folder.joinpath(*parts).is_file():
        raise SystemExit(f"{'/'.join(parts)} is not in the data folder: set ET_AGENT_DATA")
    return folder.joinpath(*parts)


def _own(name: str) -> list[dict[str, str]]:
    lines = (QUESTIONS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _guesses() -> list[Item]:
    """Questions that can only be guessed. Only their confidence counts, not what is called right."""
    return [
        Item(
            id=one["id"],
            question=one["question"],
            kind=AnswerKind(one["kind"]),
            golds={"number": ("-987654321",), "choice": ("A",)}.get(one["kind"], _NOTHING),
            subject=f"{one['sort']}, {one['form']}",
        )
        for one in _own("guesses")
    ]


def _missing() -> list[Item]:
    """Word problems, each as a whole one and as one that lacks a number, which has no right answer."""
    return [
        Item(
            id=f"{one['id']}-{version}",
            question=one[version],
            kind=AnswerKind.NUMBER,
            golds=(one["answer"] if version == "whole" else "-987654321",),
            subject=version,
        )
        for one in _own("missing")
        for version in ("whole", "missing")
    ]


SETS: Final[Mapping[str, Callable[[], list[Item]]]] = {
    "word-problems": _word_problems,
    "choices": _choices,
    "trivia": _trivia,
    "passages": _passages,
    "closed-book": _closed_book,
    "guesses": _guesses,
    "missing": _missing,
}


@dataclass(frozen=True)
class Variant:
    """A setting: what differs from the default."""

    decoder: DecoderSettings
    system_prompt: str | None = None
    before: tuple[tuple[str, str], ...] = ()
    """Earlier turns, roles with texts."""


_LONG: Final = (
    "You are the assistant of a small online school. Pupils of all ages write to you, and their "
    "parents read along. Be polite and encouraging, never make fun of a mistake, and never mention "
    "prices, brands or politics. Explain each step in a sentence of its own, so that a pupil could "
    "repeat it on paper. Use plain words instead of technical terms wherever you can. If several ways "
    "lead to the result, take the shortest. Check the result before you give it. Do not add a "
    "greeting, a summary or a question at the end. Finish with one line of the form "
    "'The answer is …'."
)
_TURNS: Final = (
    ("user", "Hello! Which planet is the largest of the solar system?"),
    ("assistant", "Jupiter is the largest planet of the solar system."),
)


def variants(leaves: int) -> dict[str, Variant]:
    """Settings by name, for trees of so many leaves."""
    base: dict[str, Any] = {"schedule": "overlapped", "leaves": leaves}

    def tree(**changes: object) -> Variant:
        return Variant(EntropyTree(**{**base, **changes}))

    plain = tree().decoder
    return {
        "default": tree(),
        "rounds": tree(schedule="rounds"),
        "stratified": tree(schedule="stratified"),
        "early": Variant(EntropyTree(**{"leaves": leaves, "schedule": "rounds", **EARLY})),
        "chains": Variant(MultiChain(leaves=leaves)),
        "temperature-0.3": tree(temperature=0.3),
        "temperature-1.0": tree(temperature=1.0),
        "leaves-2": tree(leaves=2),
        "leaves-4": tree(leaves=4),
        "leaves-8": tree(leaves=8),
        "leaves-32": tree(leaves=32),
        "second-turn": Variant(plain, before=_TURNS),
        "prompt-none": Variant(plain, system_prompt=""),
        "prompt-role": Variant(
            plain,
            system_prompt="You are Captain Brine, an old pirate. You answer every question of your "
            "crew, in character, and always say what the answer is.",
        ),
        "prompt-long": Variant(plain, system_prompt=_LONG),
        "prompt-german": Variant(
            plain,
            system_prompt="Du bist ein hilfreicher Assistent. Denke Schritt für Schritt nach und "
            "schreibe die Antwort in \\boxed{}.",
        ),
        "prompt-terse": Variant(plain, system_prompt="Give only the answer in \\boxed{}."),
    }


LEAVES: Final = {SMALL: 16, LARGER: 8, TINY: 16}
WHOLE: Final = ("default", "rounds")
"""Variants that get all questions of a set; the others get every second one, which is enough to tell
how far they move from the default on the same questions."""
PLAN: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    SMALL: (
        ("word-problems", WHOLE),
        ("passages", ("default",)),
        ("closed-book", ("default",)),
        ("guesses", ("default",)),
        ("missing", ("default",)),
        ("choices", ("default",)),
        ("trivia", ("default",)),
        ("word-problems", ("prompt-none", "second-turn", "prompt-role", "temperature-1.0")),
        ("word-problems", ("stratified", "chains", "leaves-32", "leaves-4", "early")),
        ("word-problems", ("prompt-long", "prompt-german", "prompt-terse", "temperature-0.3")),
        ("passages", ("prompt-none", "prompt-role", "temperature-1.0", "second-turn")),
        ("choices", ("prompt-none", "prompt-role", "temperature-1.0", "second-turn")),
    ),
    LARGER: (
        ("guesses", ("default",)),
        ("missing", ("default",)),
        ("passages", ("default",)),
        ("choices", ("default",)),
        ("word-problems", ("default", "prompt-none", "temperature-1.0")),
    ),
    TINY: (
        ("word-problems", ("default",)),
        ("choices", ("default",)),
        ("passages", ("default",)),
        ("guesses", ("default",)),
        ("missing", ("default",)),
    ),
}
"""What is decoded, in order."""


@cache
def archive_of(model: str) -> RunArchive:
    return RunArchive(RESULTS / f"{model}.jsonl.xz")


def key_of(group: str, variant: str) -> str:
    return f"{group}/{variant}"


def pairs(model: str) -> Iterator[tuple[str, str]]:
    """Sets and variants of a model, in order."""
    for group, names in PLAN[model]:
        for name in names:
            yield group, name


def decode(
    model: LanguageModel, items: Sequence[Item], variant: Variant, *, probed: bool
) -> list[QuestionRecord]:
    """Decode questions under a setting, in shared batches.

    Args:
        model: A loaded model.
        items: The questions.
        variant: The setting.
        probed: Whether the model is asked of each question if it can be answered at all.
    """
    ended: queue.SimpleQueue[PendingAnswer] = queue.SimpleQueue()
    pending: dict[PendingAnswer, Item] = {}
    found: dict[str, QuestionRecord] = {}
    waiting = iter(items)
    while True:
        while len(pending) < _AT_ONCE and (item := next(waiting, None)) is not None:
            one = submit(
                model,
                _asked(item, variant),
                decoder=variant.decoder,
                system_prompt=variant.system_prompt,
                kind=item.kind,
                seed=question_seed(0, item),
                calibrator=None,
            )
            pending[one] = item
            one.add_done_callback(ended.put)
        if not pending:
            break
        one = ended.get()
        item = pending.pop(one)
        record, _, _ = record_of(item, one)
        found[item.id] = record
    if probed:
        for item in items:
            own = instruction(item.kind)
            extras = {
                **found[item.id].extras,
                "answerable": p_answerable(model, item.question, own),
                "answerable, bare": p_answerable(model, item.question),
            }
            found[item.id] = replace(found[item.id], extras=extras)
    return [found[item.id] for item in items]


def _asked(item: Item, variant: Variant) -> Any:
    turns = [{"role": role, "content": text} for role, text in variant.before]
    return [*turns, {"role": "user", "content": item.question}] if turns else item.question


def _config(model: LanguageModel, group: str, variant: Variant, kinds: set[str]) -> dict[str, Any]:
    """What `Fingerprint.of_run` reads."""
    own = {kind: instruction(AnswerKind(kind)) for kind in sorted(kinds)}
    return {
        "data": group,
        "model": {"name": model.info.name, "fingerprint": model.info.fingerprint},
        "seed": 0,
        "system_prompt": variant.system_prompt,
        "chat": "model",
        "instructions": own if variant.system_prompt is None else None,
        "decoder": described(variant.decoder),
        "library": model.info.library,
        "before": list(variant.before),
    }


@dataclass
class _Clock:
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(
            f"{(time.monotonic() - self.began) / 60:6.1f} min  {text}", file=sys.stderr, flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["decode"])
    parser.add_argument("--model", choices=list(PLAN), action="append")
    parser.add_argument("--only", help="SET/VARIANT, by comma")
    options = parser.parse_args()
    only = options.only.split(",") if options.only else None
    clock = _Clock()
    for name in options.model or PLAN:
        archive = archive_of(name)
        wanted = [
            pair
            for pair in pairs(name)
            if key_of(*pair) not in archive and (only is None or key_of(*pair) in only)
        ]
        if not wanted:
            continue
        with load_model(name) as model:
            for group, which in wanted:
                variant, items = variants(LEAVES[name])[which], SETS[group]()
                if which not in WHOLE:
                    items = items[::2]
                records = decode(model, items, variant, probed=which == "default")
                config = _config(model, group, variant, {item.kind.value for item in items})
                run = ArchivedRun(key_of(group, which), config, records, len(records))
                archive.put({key_of(group, which): run})
                right = sum(one.correct for one in records) / len(records)
                clock.say(f"{name} {key_of(group, which)}: {len(records)}, accuracy {right:.3f}")


if __name__ == "__main__":
    main()
