"""What a leaf says, and when two leaves say the same."""

from et_agent.answers.equivalence import AnswerClasses, answer_classes, equivalence_classes
from et_agent.answers.extraction import Extracted, extract, read_value
from et_agent.answers.finders import FINDERS, find_boxed, find_last_line, find_marked
from et_agent.answers.guess import KindGuess, decide_kind, guess_kind
from et_agent.answers.kinds import AnswerKind, instruction
from et_agent.answers.lettering import with_choices
from et_agent.answers.mentions import mentions
from et_agent.answers.worker import MathWorker, shared_worker

__all__ = [
    "FINDERS",
    "AnswerClasses",
    "AnswerKind",
    "Extracted",
    "KindGuess",
    "MathWorker",
    "answer_classes",
    "decide_kind",
    "equivalence_classes",
    "extract",
    "find_boxed",
    "find_last_line",
    "find_marked",
    "guess_kind",
    "instruction",
    "mentions",
    "read_value",
    "shared_worker",
    "with_choices",
]
