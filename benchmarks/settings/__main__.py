"""Decode, or write what was found. See the package."""

import argparse
import json
import queue
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.settings import (
    LEAVES,
    PLAN,
    Variant,
    archive_of,
    chat_of,
    key_of,
    pairs,
    questions_of,
    variants,
)
from benchmarks.settings.questions import SETS
from benchmarks.settings.tables import write_tables
from benchmarks.settings.turns import HISTORIES
from et_agent.answers import AnswerKind, instruction
from et_agent.asking import submit
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding.naming import described
from et_agent.engines.base import LanguageModel
from et_agent.engines.loading import load_model
from et_agent.evaluation.archive import ArchivedRun
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.running import question_seed, record_of

Chat = Literal["model", "plain"]

_AT_ONCE: Final = 32


def decode(
    model: LanguageModel, items: Sequence[Item], variant: Variant, chat: Chat, begun: Path
) -> list[QuestionRecord]:
    """Decode questions under a setting, in shared batches.

    Args:
        model: A loaded model.
        items: The questions.
        variant: The setting.
        chat: The style of the prompts.
        begun: Keeps each question as it ends, so that a later call goes on. Lines of JSON.
    """
    ended: queue.SimpleQueue[PendingAnswer] = queue.SimpleQueue()
    pending: dict[PendingAnswer, Item] = {}
    begun.parent.mkdir(parents=True, exist_ok=True)
    lines = begun.read_text("utf-8").splitlines() if begun.is_file() else []
    records = [
        QuestionRecord.from_json(row["record"], row["extras"]) for row in map(json.loads, lines)
    ]
    found = {one.item: one for one in records}
    waiting = iter([item for item in items if item.id not in found])
    while True:
        while len(pending) < _AT_ONCE and (item := next(waiting, None)) is not None:
            one = submit(
                model,
                _asked(item, variant),
                decoder=variant.decoder,
                system_prompt=variant.system_prompt,
                chat=chat,
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
        with begun.open("a", encoding="utf-8") as file:
            row = {"record": record.as_json(), "extras": dict(record.extras)}
            file.write(json.dumps(row) + "\n")
    return [found[item.id] for item in items]


def _asked(item: Item, variant: Variant) -> Any:
    if variant.history is None:
        return item.question
    turns = HISTORIES[variant.history](item)
    return [{"role": role, "content": text} for role, text in turns]


def _config(
    model: LanguageModel, group: str, variant: Variant, chat: Chat, kinds: set[str]
) -> dict[str, Any]:
    """What `Fingerprint.of_run` reads."""
    own = {kind: instruction(AnswerKind(kind)) for kind in sorted(kinds)}
    return {
        "data": group,
        "model": {"name": model.info.name, "fingerprint": model.info.fingerprint},
        "seed": 0,
        "system_prompt": variant.system_prompt,
        "chat": chat,
        "instructions": own if variant.system_prompt is None else None,
        "decoder": described(variant.decoder),
        "library": model.info.library,
        "history": variant.history,
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
    parser.add_argument("command", choices=["decode", "tables"])
    parser.add_argument("--model", choices=list(PLAN), action="append")
    parser.add_argument("--only", help="SET/VARIANT, by comma")
    options = parser.parse_args()
    if options.command == "tables":
        write_tables()
        return
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
                variant, chat = variants(LEAVES[name])[which], chat_of(name)
                items = questions_of(SETS[group](), group, which)
                key = key_of(group, which)
                begun = archive.path.with_name(f".{name}-{key.replace('/', '-')}.jsonl")
                records = decode(model, items, variant, chat, begun)
                kinds = {item.kind.value for item in items}
                config = _config(model, group, variant, chat, kinds)
                run = ArchivedRun(key, config, records, len(records))
                archive.put({key: run})
                begun.unlink()
                right = sum(one.correct for one in records) / len(records)
                clock.say(f"{name} {key}: {len(records)}, accuracy {right:.3f}")


if __name__ == "__main__":
    main()
