import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest

from et_agent.answers import AnswerKind
from et_agent.asking.options import Chat, Same, ThinkingMode
from et_agent.cli import loading
from et_agent.cli.asking_options import ChatName, KindName, SameName
from et_agent.cli.decoders import decoder_options, decoder_settings, option
from et_agent.cli.thinking import ThinkingName
from et_agent.decoding.naming import CLASSES
from et_agent.decoding.schedules import EntropyTree, Online
from et_agent.decoding.schedules.keywords import ForkValue, Importance
from et_agent.decoding.schedules.legacy import FORMER_SETTINGS
from et_agent.engines.scripted import ScriptedModel
from et_agent.results import AskResult
from et_agent.templates.messages import Message, Tool
from tests.cli.conftest import Install, Outcome, Run

QUESTION = "How many clips were sold?"
TREE = ("--temperature", "1")


def test_names_are_those_of_the_library() -> None:
    assert set(KindName) == set(map(str, AnswerKind))
    assert tuple(ChatName) == get_args(Chat)
    assert tuple(SameName) == get_args(get_args(Same)[0])
    assert tuple(ThinkingName) == get_args(ThinkingMode)


def test_every_setting_of_a_decoder_is_an_option() -> None:
    options = {one.field: one for one in decoder_options()}
    for made in CLASSES:
        for field in made.model_fields:
            assert made in options[field].classes
            assert made.model_fields[field].description
    assert options["importance"].choices == get_args(Importance)
    assert options["value"].choices == get_args(ForkValue)
    assert set(options["schedule"].choices) == set(EntropyTree.schedules)
    assert options["gap"].classes == (Online,)
    assert [one.__name__ for one in options["leaves"].classes[-2:]] == [
        "BreadthFirst",
        "MultiChain",
    ]
    assert options["schedule"].default == EntropyTree().model_dump()["schedule"]
    for one in options.values():
        defaults = {made.model_fields[one.field].default for made in one.classes}
        assert one.field == "schedule" or defaults == {one.default}


@pytest.mark.parametrize(
    ("given", "decoder"),
    [
        ({}, EntropyTree(schedule="overlapped")),
        ({"leaves": 8, "seed": 3}, EntropyTree(schedule="overlapped", leaves=8)),
        ({"stop_above": 0.6}, EntropyTree(schedule="rounds", stop_above=0.6)),
        ({"wave": 2, "settle": 0.6}, EntropyTree(schedule="rounds", batch=2, stop_above=0.6)),
        ({"tau": 0.5, "roots": 3}, EntropyTree(schedule="rounds", tau=0.5, roots=3)),
        ({"tau": 0.5, "gap": 3}, EntropyTree(schedule="online", tau=0.5, gap=3)),
    ],
)
def test_the_schedule_follows_from_the_options(given: dict[str, Any], decoder: EntropyTree) -> None:
    assert decoder_settings("entropy-tree", given) == decoder


def test_help_names_every_setting_and_no_former_one(run: Run) -> None:
    shown = run("ask", "--help-all")
    for one in decoder_options():
        assert f"{option(one.field)} " in shown.out
    for former in FORMER_SETTINGS:
        assert option(former) not in shown.out


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (["--settle", "0.6"], ["--stop-above", "0.6"]),
        (["--give-up", "0.3"], ["--stop-below", "0.3"]),
        (["--wave", "2", "--stop-above", "0.6"], ["--batch", "2", "--stop-above", "0.6"]),
        (["--least-worth", "2"], ["--least-value", "2"]),
        (["--value", "worth"], ["--value", "value_per_token"]),
        (["--value", "parting"], ["--value", "disagreement"]),
    ],
)
def test_former_options_work_and_warn(
    run: Run, install: Install, former: list[str], now: list[str]
) -> None:
    install()
    shown = run("ask", "--json", *former, QUESTION)
    assert shown.code == 0
    # One value has a new name, or one option.
    was, is_now = (" ".join(former), " ".join(now)) if former[0] == now[0] else (former[0], now[0])
    assert shown.err == f"note: {was} is deprecated: use {is_now}\n"
    install()
    expected = json.loads(run("ask", "--json", *now, QUESTION).out)
    assert json.loads(shown.out)["decoder"] == expected["decoder"]


def _fits(shown: Outcome) -> None:
    assert shown.code == 0
    assert shown.err == ""
    assert "\x1b" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in shown.out.splitlines())


def test_prints_what_a_person_needs(run: Run, install: Install) -> None:
    install()
    shown = run("ask", *TREE, QUESTION)
    _fits(shown)
    assert re.search(
        r"confidence  (\d+)%: of 100 such answers, \1 are right \(likely \d+ to \d+\)\n"
        r" rests on    general map.*\n cost        \d+ tokens, \d+\.\d s, \d+ paths",
        shown.out.replace("\n             ", " "),
    )
    for part in ("ESS", "nats", "p(a|x)", "Tree", "schedule"):
        assert part not in shown.out
    assert len(shown.out.splitlines()) <= 16


def test_explained_has_all_figures_and_the_tree(run: Run, install: Install) -> None:
    install()
    shown = run("ask", *TREE, "--explain", QUESTION)
    _fits(shown)
    for part in ("72", "p(a|x)", "nats", "ESS", "saved)", "tokens/s", "general map", "fork"):
        assert part in shown.out


@pytest.mark.parametrize(
    ("options", "drawn"),
    [((), False), (("--tree",), True), (("--explain",), True), (("--explain", "--no-tree"), False)],
)
def test_the_tree_is_drawn_where_it_is_asked_for(
    run: Run, install: Install, options: tuple[str, ...], drawn: bool
) -> None:
    install()
    assert ("├" in run("ask", *TREE, *options, QUESTION).out) == drawn


def test_json_is_one_document_and_nothing_else(run: Run, install: Install) -> None:
    install()
    shown = run("ask", *TREE, "--json", QUESTION)
    document = json.loads(shown.out)
    assert shown.err == ""
    assert "tree" not in document
    assert document["answer"] == "72"
    assert 0 < document["confidence"] < 1
    assert (document["calibrated"], document["calibration"]["source"]) == (False, "general")


def test_json_with_tree_is_the_whole_result(run: Run, install: Install) -> None:
    install()
    result = AskResult.model_validate_json(run("ask", *TREE, "--json", "--tree", QUESTION).out)
    assert result.tree is not None
    assert sum(leaf.weight for leaf in result.tree.leaves) == pytest.approx(1)


def test_several_questions_are_json_lines_in_order(run: Run, install: Install) -> None:
    install()
    lines = run("ask", *TREE, "--json", "one?", "two?", "three?").out.splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["one?", "two?", "three?"]


def test_the_model_is_free_while_questions_are_checked(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Needed(ScriptedModel):
        """Its thread has something to do for every prompt."""

        def chat_tokens(
            self,
            messages: Sequence[Message],
            tools: Sequence[Tool] = (),
            options: Mapping[str, Any] | None = None,
        ) -> list[int]:
            self.submit(lambda: None).result(25)
            return super().chat_tokens(messages, tools, options)

    model = Needed.from_texts({"\\boxed{72}": 1.0})
    monkeypatch.setattr(loading, "open_model", lambda *_, **__: closing(model))
    lines = run("ask", *TREE, "--json", "one?", "two?").out.splitlines()
    assert [json.loads(line)["answer"] for line in lines] == ["72", "72"]


def test_several_questions_are_lines_and_a_summary(run: Run, install: Install) -> None:
    install()
    *lines, summary = run("ask", *TREE, "one?", "two?").out.splitlines()
    assert len(lines) == 2
    for line in sorted(lines):
        assert re.fullmatch(r"#[12] +\d+% sure  72  \| (one|two)\?", line)
    assert re.fullmatch(
        r"2 questions: 2 answered; mean confidence \d+%; [\d,]+ tokens, \d+\.\d s", summary
    )


def test_one_question_of_a_file_is_a_line_too(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    file = tmp_path / "q.txt"
    file.write_text("one?\n", encoding="utf-8")
    line, summary = run("ask", *TREE, "--questions", str(file)).out.splitlines()
    assert line.startswith("#1 ")
    assert summary.startswith("1 question: 1 answered; ")


def test_several_questions_explained_have_headings_and_no_trees(run: Run, install: Install) -> None:
    install()
    out = run("ask", *TREE, "--explain", "one?", "two?").out
    assert out.index("#1") < out.index("one?") < out.index("#2") < out.index("two?")
    assert "├" not in out


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.txt", "one?\n\n  two?  \r\n"),
        ("q.txt", '\ufeff{"question": "one?", "id": 4}\n{"question": "two?"}\n'),
        ("q.jsonl", '{"question": "one?"}\n{"question": "two?"}'),
    ],
)
def test_questions_of_a_file(
    run: Run, install: Install, tmp_path: Path, name: str, content: str
) -> None:
    install()
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    lines = run("ask", *TREE, "--json", "--questions", str(file)).out.splitlines()
    assert [json.loads(line)["question"] for line in lines] == ["one?", "two?"]


def test_a_plain_file_may_have_braces(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    file = tmp_path / "q.txt"
    file.write_text("How many subsets has {1, 2}?\n{1} and {2}: how many?\n", encoding="utf-8")
    lines = run("ask", *TREE, "--json", "--questions", str(file)).out.splitlines()
    assert json.loads(lines[1])["question"] == "{1} and {2}: how many?"


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"one?\n\xff\xfe\n", 2, "UTF-8"),
        (b"one?\nt\0wo\n", 2, "NUL"),
        (b'{"question": "one?"}\n\n{"q": 3}\n', 3, '"question"'),
        (b'{"question": "one?"}\n{"question": 3}\n', 2, '"question"'),
        (b'{"question": "one?"}\nnot json\n', 2, "JSON"),
        (b'{"question": "one?"}\n{"question": "\\ud800"}\n', 2, "UTF-8"),
        (b"one?\n" + b"x" * 9000, 2, "context"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_decoded(
    run: Run, install: Install, tmp_path: Path, content: bytes, line: int, says: str
) -> None:
    model = install()
    file = tmp_path / "questions.txt"
    file.write_bytes(content)
    shown = run("ask", "--json", "--questions", str(file))
    assert shown.code == 2
    assert shown.out == ""
    assert f"questions.txt, line {line}" in shown.err
    assert says in shown.err
    assert model.decoded == 0


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_questions(
    run: Run, install: Install, tmp_path: Path, content: bytes
) -> None:
    install()
    file = tmp_path / "q.txt"
    file.write_bytes(content)
    shown = run("ask", "--questions", str(file))
    assert shown.code == 2
    assert "contains no question" in shown.err


@pytest.mark.parametrize("where", ["missing.txt", "."])
def test_a_file_that_cannot_be_read(run: Run, install: Install, tmp_path: Path, where: str) -> None:
    install()
    shown = run("ask", "--questions", str(tmp_path / where))
    assert shown.code == 2
    assert shown.err.startswith("error: cannot read the questions")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--tau", "0.5", "--percentile", "80"], "--tau 0.5 and --percentile 80.0 set the same"),
        (
            ["--delta", "0.5", "--importance-percentile", "80"],
            "--delta 0.5 and --importance-percentile 80.0 set",
        ),
        (["--decoder", "multi-chain", "--tau", "0.5"], "--tau does not apply to --decoder multi"),
        (["--decoder", "greedy", "--leaves", "3"], "--leaves does not apply to --decoder greedy"),
        (["--decoder", "greedy", "--seed", "3"], "--seed does not apply"),
        (["--decoder", "multi-chain", "--exchangeable"], "--exchangeable does not apply"),
        (["--decoder", "multi-chain", "--b", "2", "--gap", "3"], "--b, --gap do not apply"),
        (["--gap", "8", "--stop-above", "1"], "--gap does not apply to --schedule rounds"),
        (["--schedule", "stratified", "--tau", "1"], "--tau does not apply to --schedule strat"),
        (["--schedule", "online", "--stop-above", "1"], "use --schedule rounds"),
        (["--importance", "none", "--delta", "0.1"], "--importance none"),
        (["--no-attention", "--delta", "0.1"], "--no-attention"),
        (["--no-attention", "--importance", "received"], "--no-attention"),
        (["--importance", "prompt"], "--importance prompt needs --schedule online"),
        (["--exchangeable", "--b", "3"], "two sides"),
        (["--decoder", "beam"], "--decoder is beam: use one of entropy-tree, multi-chain, greedy"),
        (["--schedule", "best"], "--schedule is best: use one of"),
        (["--value", "best"], "--value is best: it should be 'value_per_token'"),
        (
            ["--value", "mass", "--least-value", "2"],
            "--least-value 2.0 does nothing with --value mass",
        ),
        (["--delta", "0.1"], "leave it out, or set --importance received"),
        (["--wave", "2", "--batch", "3"], "--wave is the old name of --batch, and both are given"),
        (["--batch", "2"], "--batch 2 stops nothing by itself: set --stop-risk (for example"),
        (["--leaves", "0"], "--leaves is 0: it should be greater than or equal to 1"),
        (["--leaves", "-3"], "--leaves is -3"),
        (["--b", "1"], "--b is 1: it should be"),
        (["--temperature", "-1"], "--temperature is -1.0: it should be greater than"),
        (["--temperature", "nan"], "--temperature is nan"),
        (["--tau", "inf"], "--tau is inf"),
        (["--percentile", "101"], "--percentile is 101"),
        (["--max-tokens", "0"], "--max-tokens is 0"),
        (["--seed", "-1"], "--seed is -1: use 0 or more"),
        (["--threads", "0"], "--threads is 0"),
        (["--threads", "-2"], "--threads is -2"),
        (["--width", "0"], "--width is 0"),
        (["--context", "0"], "--context is 0"),
        (["--context", "99999999999"], "--context is 99999999999"),
        (["--leaves", "many"], "'--leaves'"),
        (["--kind", "colour"], "'--kind'"),
        (["--no-such-option"], "No such option"),
        (["--schedule", "online"], "et-agent pilot"),
        (["--system", "@/no/such/file"], "cannot read the system prompt"),
    ],
)
def test_options_that_cannot_be(run: Run, install: Install, options: list[str], says: str) -> None:
    model = install()
    shown = run("ask", *options, QUESTION)
    assert shown.code == 2
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert "pydantic" not in shown.err
    assert model.decoded == 0


@pytest.mark.parametrize(
    ("question", "says"), [("", "empty"), ("  ", "empty"), ("a\0b", "NUL"), ("a\udcff", "UTF-8")]
)
def test_questions_that_cannot_be(run: Run, install: Install, question: str, says: str) -> None:
    install()
    shown = run("ask", question)
    assert shown.code == 2
    assert says in shown.err


def test_no_question_at_all(run: Run, install: Install) -> None:
    install()
    assert run("ask").code == 2


def test_a_model_without_chat_template(run: Run, install: Install) -> None:
    install(chat_template=False)
    shown = run("ask", QUESTION)
    assert shown.code == 2
    assert "--chat plain" in shown.err


def test_chat_plain_works_without_a_template(run: Run, install: Install) -> None:
    install(chat_template=False)
    assert run("ask", "--chat", "plain", QUESTION).code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--decoder", "greedy"],
        ["--decoder", "multi-chain", "--leaves", "5"],
        ["--schedule", "online", "--tau", "0.1", "--gap", "2"],
        ["--schedule", "stratified", "--leaves", "9"],
        ["--schedule", "breadth_first", "--tau", "0.1", "--temperature", "1"],
        ["--value", "disagreement", "--stop-above", "0.9", "--roots", "3", "--exchangeable"],
    ],
)
def test_every_decoder_prints(run: Run, install: Install, options: list[str]) -> None:
    install()
    shown = run("ask", *options, "--tree", QUESTION)
    assert (shown.code, shown.err) == (0, "")
    assert "Tree" in shown.out


def test_the_system_prompt_from_a_file(run: Run, install: Install, tmp_path: Path) -> None:
    install()
    file = tmp_path / "system.txt"
    file.write_text("Be brief.\n", encoding="utf-8")
    document = json.loads(run("ask", "--json", "--system", f"@{file}", QUESTION).out)
    assert document["instruction"] == "Be brief."


def test_the_system_prompt_may_be_empty(run: Run, install: Install) -> None:
    install()
    assert json.loads(run("ask", "--json", "--system", "", QUESTION).out)["instruction"] == ""


def test_what_a_model_says_cannot_control_the_terminal(run: Run, install: Install) -> None:
    install({"\x1b[2J[red]gone[/red] \u202e \\boxed{[bold]\x1b]0;title\x07x}": 1.0})
    shown = run("ask", "--kind", "text", "Who\x1b[31m?", "[blink]when?")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert "\x07" not in shown.out
    assert "\u202e" not in shown.out
    assert "\\x1b" in shown.out
    assert "[bold]" in shown.out
    assert "[blink]when?" in shown.out


def test_no_answer_is_said(run: Run, install: Install) -> None:
    install({"I do not know": 1.0})
    shown = run("ask", "--kind", "number", QUESTION)
    assert shown.code == 0
    assert "no leaf gave an answer" in shown.out


def test_many_answers_are_summed_up(run: Run, install: Install) -> None:
    install({f"It is {n}. \\boxed{{{n}}}": 1 / 20 for n in range(20)})
    out = run("ask", *TREE, "--decoder", "multi-chain", "--leaves", "60", "--no-tree", QUESTION).out
    assert " more " in out


def test_a_bug_is_told_without_a_traceback(
    run: Run, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()

    def broken(*_: object) -> None:
        raise ZeroDivisionError("ups\x1b[31m")

    monkeypatch.setattr("et_agent.cli.answering.print_answer", broken)
    shown = run("ask", QUESTION)
    assert shown.code == 1
    assert "ZeroDivisionError: ups\\x1b[31m" in shown.err
    assert "--verbose" in shown.err
    assert "Traceback" not in shown.err
    install()
    assert "Traceback" in run("ask", "--verbose", QUESTION).err


def test_an_error_while_decoding_does_not_stop_the_others(run: Run, install: Install) -> None:
    install(context=110)
    shown = run("ask", "--json", "--max-tokens", "20", "one?", "two?")
    assert shown.code == 0
    assert len(shown.out.splitlines()) == 2


def test_usage_errors_point_to_the_help(run: Run) -> None:
    shown = run("frobnicate")
    assert shown.code == 2
    assert "--help" in shown.err


def test_help_without_arguments(run: Run) -> None:
    shown = run()
    assert shown.code == 0
    assert "doctor" in shown.out
    assert run("models").code == 0
    assert run("--version").out.startswith("et-agent")


def test_options_of_the_prefix_cache_reach_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[dict[str, object]] = []

    def load(_spec: str, **settings: object) -> ScriptedModel:
        loaded.append(settings)
        return ScriptedModel.from_texts({"4": 1.0})

    monkeypatch.setattr("et_agent.engines.loading.load_model", load)
    for given in ({}, {"prefix_memory": 3, "prefix_file": "f"}, {"prefix_memory": -1}):
        with loading.open_model("a", **given):
            pass
    kept = [(settings["prefix_memory"], settings["prefix_file"]) for settings in loaded]
    assert kept == [(None, None), (3 << 20, "f"), (-1 << 20, None)]


INVOICE = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "city": {"type": "string"}},
    "required": ["amount", "city"],
}


def schema_file(folder: Path) -> str:
    path = folder / "invoice.json"
    path.write_text(json.dumps(INVOICE))
    return str(path)


def test_a_schema_gives_fields_with_confidences(run: Run, install: Install, tmp_path: Path) -> None:
    replies = {'{"amount": 5, "city": "Bonn"}': 0.7, '{"amount": 50, "city": "Bonn"}': 0.3}
    options = ("--schema", schema_file(tmp_path), "--no-tree", *TREE, QUESTION)
    install(replies)
    shown = run("ask", *options)
    assert shown.code == 0
    rows = [line.split() for line in shown.out.splitlines()]
    assert ["field", "value", "share", "confidence", "or"] in rows
    (amount,) = [row for row in rows if row[:1] == ["amount"]]
    (city,) = [row for row in rows if row[:1] == ["city"]]
    assert amount[1] == "5"
    assert amount[4] == "50"
    assert city[1:3] == ['"Bonn"', "100.0%"]
    assert len(city) == 4
    assert max(map(len, shown.out.splitlines())) <= 80
    install(replies)
    found = AskResult.model_validate_json(run("ask", "--json", *options).out)
    assert list(found.fields) == ["amount", "city"]
    assert found.fields["city"].confidence is not None


def test_an_answer_in_words_has_no_table_of_fields(run: Run, install: Install) -> None:
    install()
    assert "confidence  or" not in run("ask", *TREE, QUESTION).out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the schema"),
        ("[]", "is not a JSON object"),
        ('{"type": "strin"}', "no grammar can express the JSON schema"),
        (None, "No such file"),
    ],
)
def test_a_schema_that_is_none_is_refused_before_a_model_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None, says: str
) -> None:
    monkeypatch.setattr(loading, "open_model", pytest.fail)
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_text(text)
    shown = run("ask", "--schema", str(path), QUESTION)
    assert shown.code == 2
    assert says in " ".join(shown.err.split())
