"""From a question to a result: what is asked, the prompt, the leaves' answers, the confidence."""

from et_agent.asking.api import (
    PendingAnswer,
    Progress,
    ProgressCallback,
    Questions,
    ask,
    run_pilot,
    start,
    stream,
    submit,
    submit_all,
)
from et_agent.asking.conversation import check_text
from et_agent.asking.options import AskOptions, Calibration, Chat
from et_agent.asking.streaming import AnswerStream, StreamEnd, StreamEvent, TextDelta

__all__ = [
    "AnswerStream",
    "AskOptions",
    "Calibration",
    "Chat",
    "PendingAnswer",
    "Progress",
    "ProgressCallback",
    "Questions",
    "StreamEnd",
    "StreamEvent",
    "TextDelta",
    "ask",
    "check_text",
    "run_pilot",
    "start",
    "stream",
    "submit",
    "submit_all",
]
