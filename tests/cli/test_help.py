"""`ask --help` shows what matters; `--help-all` shows every option, in groups."""

import re

import pytest

from et_agent.cli.ask import AskCommand
from et_agent.cli.decoders import option
from et_agent.decoding import EntropyTree
from et_agent.gate import EARLY
from tests.cli.conftest import Run

GROUPS = ("Question", "Model", "Tree", "Stopping early", "Output")


def options(help_text: str) -> set[str]:
    """The options that have a line of their own."""
    return set(re.findall(r"^│ (--[a-z-]+)", help_text, re.MULTILINE))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_the_short_help_shows_nine_options(run: Run) -> None:
    shown = run("ask", "--help")
    assert shown.code == 0
    assert options(shown.out) - {"--help", "--help-all"} == {
        "--questions",
        "--passage",
        "--choice",
        "--kind",
        "--model",
        "--leaves",
        "--json",
        "--tree",
        "--explain",
    }
    assert len(AskCommand.shown) == 9


def test_the_short_help_fits_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert len(run("ask", "--help").out.strip("\n ").splitlines()) <= 24
    assert len(run("gate", "ask", "--help").out.splitlines()) <= 45
    assert len(run("chat", "--help").out.splitlines()) <= 40
    assert len(run("calibrate", "model", "--help").out.splitlines()) <= 30


@pytest.mark.parametrize(
    "arguments", [("ask",), ("chat",), ("score",), ("gate", "ask"), ("eval", "run"), ("serve",)]
)
def test_no_option_is_cut_in_a_narrow_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = [run(*arguments, "--help").out, run(*arguments, "--help-all").out]
    names = [re.match(r"│ [* ]*(-\S+)", line) for text in shown for line in text.splitlines()]
    assert [name[1] for name in names if name and "…" in name[1]] == []
    assert any(names)


def test_the_short_help_counts_what_it_leaves_out(run: Run) -> None:
    every = options(run("ask", "--help-all").out)
    short = run("ask", "--help").out
    assert f"{len(every - options(short))} more options: et-agent ask --help-all" in short


def test_the_options_stand_in_groups(run: Run) -> None:
    shown = run("ask", "--help-all").out
    places = [shown.index(f"─ {group} ─") for group in GROUPS]
    assert places == sorted(places)


def test_the_long_help_leaves_out_nothing_but_old_spellings(run: Run) -> None:
    every = options(run("ask", "--help-all").out)
    assert {"--schedule", "--tau", "--gap", "--batch", "--seed", "--threads", "--verbose"} <= every
    assert "--learn" in every
    assert not {"--wave", "--settle", "--give-up", "--unpack"} & every


def test_hidden_options_still_work_after_help(run: Run) -> None:
    run("ask", "--help")
    assert options(run("ask", "--help-all").out) > options(run("ask", "--help").out)


def test_the_long_help_speaks_of_options_not_of_python(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    shown = run("ask", "--help-all").out
    assert not [line for line in shown.splitlines() if "None" in line]
    assert "by default taken from --percentile" in shown


def test_options_of_some_schedules_say_of_which(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    shown = run("ask", "--help-all").out
    assert "online: least number of tokens between two forks" in shown
    assert "online, rounds: codes of arithmetic sampling" in shown
    assert "breadth_first, online, rounds: branches per fork" in shown
    assert "rounds: stop once the leading answer has this share" in shown
    assert "--stop-risk" in shown
    assert (
        "breadth_first; by default the first that has all options given. [default: (overl" in shown
    )


@pytest.mark.parametrize("arguments", [("eval", "run"), ("calibrate", "model")])
def test_defaults_in_the_help_are_those_of_the_tree(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    help_option = "--help-all" if arguments[0] == "calibrate" else "--help"
    shown = run(*arguments, help_option).out
    for name, field in type(EntropyTree()).model_fields.items():
        line = re.search(rf"^│ {option(name)} .*\[default: \(?([^)\]]+)", shown, re.MULTILINE)
        assert line is None or line[1] == str(field.default)
    assert "[default: (16)]" in shown
    assert "[default: (320)]" in shown


def test_the_help_of_early_names_its_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    settings = " ".join(f"{option(name)} {value}" for name, value in EARLY.items())
    assert f"the same as {settings}." in run("gate", "ask", "--help-all").out


@pytest.mark.parametrize("arguments", [("models", "list"), ("ask",), ("gate", "report"), ()])
def test_flags_have_no_type_and_groups_end_well(run: Run, arguments: tuple[str, ...]) -> None:
    assert "bool" not in run(*arguments, "--help").out


@pytest.mark.parametrize("group", [(), ("gate",), ("eval",), ("calibrate",), ("config",)])
def test_a_group_alone_shows_its_help(run: Run, group: tuple[str, ...]) -> None:
    shown = run(*group)
    assert shown.code == 0
    assert "error" not in shown.err
    assert "Usage" in shown.out + shown.err


def test_the_version_in_short(run: Run) -> None:
    assert run("-V").out == run("--version").out != ""
