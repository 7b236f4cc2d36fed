"""What moves the level of a confidence: settings, prompts, passages, questions nobody can answer.

    ET_AGENT_DATA=…/raw python -m benchmarks.settings decode [--model NAME] [--only SET/VARIANT,…]
    python -m benchmarks.settings tables    # benchmarks/results/settings.json, docs/confidence.md

The same questions are decoded under many settings. They come from training splits, from SQuAD 2.0 and
from benchmarks/questions, so no test question of `benchmarks.runs` is among them. One archive per
model holds the results, benchmarks/results/settings/MODEL.jsonl.xz; what it holds already is not
decoded again. `benchmarks.general` fits to them, but for the questions without an answer and those of
training runs that are asked again later in a conversation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.answerable import joined
from benchmarks.runs import LARGER, SMALL
from benchmarks.settings.turns import HISTORIES, LATER
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.direct import Direct
from et_agent.evaluation.archive import RunArchive
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.gate.early import EARLY

RESULTS: Final = Path(__file__).parents[1] / "results" / "settings"
TINY: Final = "smollm2-135m"
BASE: Final = "gemma-3-270m"
"""A base model: it has no chat template and is asked with a plain prompt."""


@dataclass(frozen=True)
class Variant:
    """A setting: what differs from the default."""

    decoder: DecoderSettings
    system_prompt: str | None = None
    history: str | None = None
    """Name of what is said before the question."""


_LONG: Final = (
    "You are the assistant of a small online school. Pupils of all ages write to you, and their "
    "parents read along. Be polite and encouraging, never make fun of a mistake, and never mention "
    "prices, brands or politics. Explain each step in a sentence of its own, so that a pupil could "
    "repeat it on paper. Use plain words instead of technical terms wherever you can. If several ways "
    "lead to the result, take the shortest. Check the result before you give it. Do not add a "
    "greeting, a summary or a question at the end. Finish with one line of the form "
    "'The answer is …'."
)


def variants(leaves: int) -> dict[str, Variant]:
    """Settings by name, for trees of so many leaves."""
    base: dict[str, Any] = {"schedule": "overlapped", "leaves": leaves}

    def tree(**changes: object) -> Variant:
        return Variant(EntropyTree(**{**base, **changes}))

    plain = tree().decoder
    later = {name: Variant(tree(schedule="rounds").decoder, history=name) for name in HISTORIES}
    direct = {
        f"{name}-direct": Variant(Direct(max_tokens=plain.max_tokens), history=name)
        for name in HISTORIES
    }
    return {
        **later,
        **direct,
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
        "second-turn": Variant(plain, history="turn-other"),
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


LEAVES: Final = {SMALL: 16, LARGER: 8, TINY: 16, BASE: 16}
WHOLE: Final = ("default", "rounds")
"""Variants that get all questions of a set; the others get every second one, which is enough to tell
how far they move from the default on the same questions. Histories share the questions of a set."""
_DIRECTLY: Final = tuple(f"{name}-direct" for name in HISTORIES)
PLAN: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    SMALL: (
        ("word-problems", WHOLE),
        ("lacking", ("default",)),
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
        ("later-choices", _DIRECTLY),
        ("later-trivia", tuple(HISTORIES)),
        ("later-word-problems", tuple(HISTORIES)),
    ),
    LARGER: (
        ("lacking", ("default",)),
        ("guesses", ("default",)),
        ("missing", ("default",)),
        ("passages", ("default",)),
        ("choices", ("default",)),
        ("word-problems", ("default", "prompt-none", "temperature-1.0")),
        ("later-choices", _DIRECTLY),
        ("later-trivia", tuple(HISTORIES)),
    ),
    TINY: (
        ("word-problems", ("default",)),
        ("choices", ("default",)),
        ("passages", ("default",)),
        ("guesses", ("default",)),
        ("missing", ("default",)),
    ),
    BASE: (
        ("word-problems", ("default",)),
        ("choices", ("default",)),
        ("passages", ("default",)),
        ("guesses", ("default",)),
        ("missing", ("default",)),
    ),
}
"""What is decoded, in order."""


def chat_of(model: str) -> Literal["model", "plain"]:
    """The style of its prompts."""
    return "plain" if model == BASE else "model"


@cache
def archive_of(model: str) -> RunArchive:
    return RunArchive(RESULTS / f"{model}.jsonl.xz")


def runs_of(model: str) -> Iterator[tuple[str, str, list[QuestionRecord]]]:
    """Set, variant and questions of each run that was decoded."""
    for name, run in archive_of(model).items():
        group, _, variant = name.partition("/")
        records = list(run.records)
        yield group, variant, joined(model, group, records) if variant == "default" else records


def questions_of(items: Sequence[Item], group: str, variant: str) -> Sequence[Item]:
    """Those of a set that a variant gets."""
    if group in LATER:
        return items[[*HISTORIES].index(variant.removesuffix("-direct")) :: len(HISTORIES)]
    return items if variant in WHOLE else items[::2]


def key_of(group: str, variant: str) -> str:
    return f"{group}/{variant}"


def pairs(model: str) -> Iterator[tuple[str, str]]:
    """Sets and variants of a model, in order."""
    for group, names in PLAN[model]:
        for name in names:
            yield group, name
