"""What is kept of the decoded questions: one xz-compressed file of JSON lines per model and split."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.kept import read_lines, write_lines
from et_agent.evaluation.records import QuestionRecord

RESULTS: Final = Path(__file__).parents[1] / "results" / "retrieval"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A decoded question.

    Attributes:
        record: Its tree, as runs keep it; right is an exact match with an accepted answer, and that the
            passage does not say it where it does not.
        place: Article and number of its passage.
        answerable: Whether the passage answers it.
        golds: The accepted answers.
        declined: The class of answers that decline; None without.
        leaves: What each leaf answers, as it writes it; None for nothing.
        beside: Share of the question's words that stand in a sentence with it, of each class.
        grounding: What was read of the leading answer (`et_agent.asking.grounding`); None without one.
    """

    record: QuestionRecord
    place: str
    answerable: bool
    golds: tuple[str, ...]
    declined: int | None
    leaves: tuple[str | None, ...]
    beside: tuple[float, ...]
    grounding: Mapping[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Plain types."""
        return {
            "place": self.place,
            "answerable": self.answerable,
            "golds": list(self.golds),
            "declined": self.declined,
            "leaf answers": list(self.leaves),
            "beside": list(self.beside),
            "grounding": self.grounding,
            "record": self.record.as_json(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Kept":
        """The inverse of `as_json`."""
        return cls(
            QuestionRecord.from_json(values["record"], {}),
            values["place"],
            values["answerable"],
            tuple(values["golds"]),
            values["declined"],
            tuple(values["leaf answers"]),
            tuple(values.get("beside", ())),
            values["grounding"],
        )


@dataclass
class Run:
    """The questions of a model and a split, and how they were decoded.

    Attributes:
        path: The file.
        config: How they were decoded.
        kept: The questions by id.
    """

    path: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    kept: dict[str, Kept] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str, split: str) -> "Run":
        """What there is."""
        found = cls(RESULTS / f"{model}-{split}.jsonl.xz")
        if found.path.is_file():
            found.config, *lines = read_lines(found.path)
            rows = [Kept.from_json(line) for line in lines]
            found.kept = {one.record.item: one for one in rows}
        return found

    def save(self) -> None:
        """Write it, atomically; the same questions give the same bytes."""
        write_lines(self.path, [self.config, *(one.as_json() for one in self.kept.values())])
