import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.kinds import ANSWER_MARKER, KINDS, AnswerKind, instruction
from et_agent.answers.stops import Cut, StopSequences
from et_agent.errors import SettingsError

TEXT = "So \\boxed{42} and more"


@pytest.mark.parametrize(
    ("stop", "shown", "read"),
    [
        (["}"], "So \\boxed{42", "So \\boxed{42}"),
        (["2} and"], "So \\boxed{4", "So \\boxed{42} and"),
        (["2"], "So \\boxed{4", None),
        (["{"], "So \\boxed", None),
        (["boxed"], "So \\", None),
        (["\\boxed"], "So ", "So "),
        (["\\boxed{42}"], "So ", "So "),
        (["boxed{42}"], "So \\", "So \\boxed{42}"),
        ([" and"], "So \\boxed{42}", "So \\boxed{42}"),
        (["more", "and"], "So \\boxed{42} ", "So \\boxed{42} "),
        (["an", "and more"], "So \\boxed{42} ", "So \\boxed{42} "),
    ],
)
def test_what_is_shown_and_read(stop: list[str], shown: str, read: str | None) -> None:
    assert StopSequences(stop).cut(TEXT) == Cut(shown, read, stopped=True)


def test_without_one_nothing_is_cut() -> None:
    assert StopSequences(["xyz"]).cut(TEXT) == Cut(TEXT, TEXT, stopped=False)
    assert not StopSequences([])
    assert StopSequences([]).cut(TEXT) == Cut(TEXT, TEXT, stopped=False)


def test_a_box_left_open_on_an_earlier_line_is_not_cut() -> None:
    cut = StopSequences(["END"]).cut("\\boxed{4\nthe answer is 5 END")
    assert cut.read == "\\boxed{4\nthe answer is 5 "


@pytest.mark.parametrize(
    "stop",
    ["\\boxed{", "\\boxed", "\\", "boxed{", "ox", "{", " \\boxed{", "$\\b", "\n\\", "\\boxed{42}"],
)
def test_what_ends_paths_within_the_marker(stop: str) -> None:
    assert StopSequences(["Done", stop]).within_marker() == stop


@pytest.mark.parametrize(
    "stop", ["}", "\n", "Done", "\\n", "\\boxes", "\\[", "{4", "42", "]{", "$"]
)
def test_what_leaves_the_marker_alone(stop: str) -> None:
    assert StopSequences([stop]).within_marker() is None


@pytest.mark.parametrize("kind", [kind for kind, reader in KINDS.items() if reader.voted])
def test_every_kind_with_votes_asks_for_the_marker(kind: AnswerKind) -> None:
    assert ANSWER_MARKER in instruction(kind)


@pytest.mark.parametrize("stop", ["}", [""], [None], [3], ["a", ""]])
def test_what_is_no_stop_sequence(stop: list[str]) -> None:
    with pytest.raises(SettingsError, match="stop"):
        StopSequences(stop)


@given(st.lists(st.text(min_size=1, max_size=3), max_size=3), st.text(max_size=30))
def test_nothing_shown_holds_one(stop: list[str], text: str) -> None:
    sequences = StopSequences(stop)
    cut = sequences.cut(text)
    assert text.startswith(cut.shown)
    assert not any(one in cut.shown for one in stop)
    assert cut.stopped == sequences.within(text.encode("utf-8", "surrogatepass"))
