import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from et_agent.evaluation import engines
from et_agent.evaluation.archive import ArchivedRun, RunArchive
from et_agent.evaluation.exchange import read_run
from tests.cli.conftest import Install, Run


def half_known(prompt: str) -> Mapping[str, float]:
    if "true or false" in prompt:
        return {"True": 0.8, "False": 0.2}
    asked = re.search(r"What is (\d+) \+ \d+\?", prompt)
    if asked is None:  # the beginning that a probe's prompts share
        return {"…": 1.0}
    first = int(asked[1])
    sure = 0.8 if first % 2 else 0.3
    return {
        f"It is \\boxed{{{first * 2}}}": sure,
        f"I say \\boxed{{{first * 2 + 1}}}": 0.5 * (1 - sure),
        "I do not know": 0.5 * (1 - sure),
    }


@pytest.fixture
def data(tmp_path: Path) -> str:
    file = tmp_path / "doubles.jsonl"
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 9)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "runs.sqlite")


DECODERS = ["--decoder", "multi-chain", "--decoder", "entropy-tree:schedule=stratified"]


def evaluated(run: Run, install: Install, data: str, store: str, *more: str) -> list[str]:
    install(half_known)
    shown = run("eval", "run", "--data", data, *DECODERS, "--leaves", "4", "--store", store, *more)
    assert shown.code == 0, shown.err
    return [line.partition(":")[0] for line in shown.out.splitlines()]


def test_a_run_is_gone_on_with_and_reported(
    run: Run, install: Install, data: str, store: str, tmp_path: Path
) -> None:
    names = evaluated(run, install, data, store, "--questions", "5")
    assert evaluated(run, install, data, store) == names
    listed = run("eval", "list", "--store", store).out
    assert "2 runs" in listed
    assert listed.count("8 questions") == 2

    chains, tree = names
    out = tmp_path / "report"
    assert run("eval", "report", *names, "--out", str(out), "--store", store).code == 0
    assert (out / "report.md").read_text("utf-8").startswith("# Evaluation")
    assert set(json.loads((out / "report.json").read_text("utf-8"))["summaries"]) == set(names)
    assert (out / "roc.png").read_bytes()[1:4] == b"PNG"

    shown = run("eval", "compare", tree, chains, "--store", store)
    assert "8 common questions" in shown.out
    assert "At equal seconds" in shown.out or "At equal tokens" in shown.out


def test_tables_are_written_without_matplotlib(
    run: Run,
    install: Install,
    data: str,
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = evaluated(run, install, data, store, "--questions", "5")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not installed
    bare = tmp_path / "bare"
    shown = run("eval", "report", *names, "--out", str(bare), "--store", store)
    assert shown.code == 2
    assert f"{sys.executable} -m pip install 'et-agent[eval]'" in shown.err.replace("\n", " ")
    assert (bare / "report.md").read_text("utf-8").startswith("# Evaluation")


def test_scores_without_decoding_again(run: Run, install: Install, data: str, store: str) -> None:
    chains, _ = evaluated(run, install, data, store)
    model = install(half_known)
    shown = run("eval", "score", chains, "--estimator", "et-pe", "--store", store)
    assert "et-pe" in shown.out
    assert model.decoded == 0
    # P(True) asks the model once, and is there from then on.
    asked = ["eval", "score", chains, "--estimator", "p-true", "--store", store]
    first = run(*asked)
    assert first.code == 0, first.err
    decoded = int(model.decoded)
    assert decoded > 0
    assert run(*asked).out == first.out
    assert model.decoded == decoded
    assert run("eval", "score", chains, "--estimator", "luck", "--store", store).code == 2


def test_runs_travel_as_files(
    run: Run, install: Install, data: str, store: str, tmp_path: Path
) -> None:
    chains, _ = evaluated(run, install, data, store)
    file = str(tmp_path / "chains.jsonl.gz")
    assert "8 questions" in run("eval", "export", chains, file, "--store", store).out
    other = str(tmp_path / "other.sqlite")
    assert run("eval", "import", file, "--store", other).out == f"{chains}: 8 questions\n"
    archive = RunArchive(tmp_path / "runs.jsonl.xz")
    name, config, records = read_run(Path(file))
    archive.put({"one": ArchivedRun(name, config, records, 8)})
    again = str(tmp_path / "again.sqlite")
    out = run("eval", "import", str(archive.path), file, "--store", again).out
    assert out == 2 * f"{chains}: 8 questions\n"


def test_lists(run: Run) -> None:
    estimators = run("eval", "estimators").out
    assert "arXiv 2601.15296" in estimators
    assert "p-true" in estimators
    sets = run("eval", "data").out
    assert "svamp" in sets
    assert "licence: MIT" in sets


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--data", "absent"], "there is no data set 'absent'"),
        (["--data", "DATA", "--decoder", "beam"], "there is no decoder 'beam'"),
        (["--data", "DATA", "--decoder", "entropy-tree:x=1"], "x"),
        (["--data", "DATA", "--questions", "9"], "choose 1 to 8"),
        (["--data", "DATA", "--seed", "-1"], "--seed is -1"),
    ],
)
def test_options_that_cannot_be(
    run: Run, install: Install, data: str, store: str, options: list[str], says: str
) -> None:
    install(half_known)
    given = [data if option == "DATA" else option for option in options]
    shown = run("eval", "run", *given, "--store", store)
    assert shown.code == 2
    assert says in shown.err


def test_no_such_run(run: Run, store: str) -> None:
    shown = run("eval", "compare", "a", "b", "--store", store)
    assert shown.code == 2
    assert "there is no run 'a'" in shown.err


def test_a_run_that_fails_at_once_leaves_nothing(
    run: Run, install: Install, data: str, store: str
) -> None:
    install(half_known, chat_template=False)
    shown = run("eval", "run", "--data", data, *DECODERS, "--store", store)
    assert shown.code == 2
    assert "chat template" in shown.err
    assert "0 runs" in run("eval", "list", "--store", store).out


def test_runs_are_listed_with_settings_and_deleted(
    run: Run, install: Install, data: str, store: str
) -> None:
    chains, tree = evaluated(run, install, data, store, "--questions", "5")
    listed = run("eval", "list", "--store", store)
    assert re.search(rf"{chains}: 5 of 5 questions, accuracy \d\.\d{{3}}", listed.out)
    assert "decoder MultiChain, leaves 4, seed 0" in listed.out
    assert "schedule stratified" in listed.out
    rows = json.loads(run("eval", "list", "--json", "--store", store).out)
    assert [row["wanted"] for row in rows] == [5, 5]
    refused = run("eval", "delete", chains, "--store", store)
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert run("eval", "delete", chains, "--yes", "--store", store).code == 0
    assert [
        row["name"] for row in json.loads(run("eval", "list", "--json", "--store", store).out)
    ] == [tree]


def test_the_interrupted_are_told_how_to_go_on(
    run: Run, install: Install, data: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(half_known)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engines, "decoded", stop)
    shown = run("eval", "run", "--data", data, *DECODERS, "--store", store)
    assert shown.code == 130
    assert "0 of 16 questions kept; the same command goes on" in shown.err


def test_reports_in_markdown(run: Run, install: Install, data: str, store: str) -> None:
    names = evaluated(run, install, data, store)
    shown = run("eval", "report", *names, "--md", "--store", store)
    assert shown.code == 0, shown.err
    assert shown.out.startswith("# Evaluation")
    assert run("eval", "report", *names, "--store", store).code == 2


def test_questions_that_are_gone_are_named(
    run: Run, install: Install, data: str, store: str, tmp_path: Path
) -> None:
    chains, _ = evaluated(run, install, data, store)
    moved = Path(data).rename(tmp_path / "elsewhere.jsonl")
    wanted = ("eval", "score", chains, "--estimator", "p-true", "--store", store)
    install(half_known)
    shown = run(*wanted)
    assert shown.code == 2
    assert "or name them with --data" in shown.err
    assert chains in shown.err
    assert "doubles.jsonl" in shown.err
    assert moved.is_file()


def test_lines_come_now_and_then_without_a_terminal(
    run: Run, install: Install, data: str, store: str
) -> None:
    install(half_known)
    shown = run("eval", "run", "--data", data, *DECODERS, "--leaves", "2", "--store", store)
    lines = [line for line in shown.err.splitlines() if re.match(r"\d+/16 ", line)]
    assert lines[0].startswith("0/16")
    assert lines[-1].startswith("16/16")
    assert len(lines) < 16, "one per half a minute, not one per question"


def test_the_system_prompt_is_read_from_a_file_everywhere(
    run: Run, install: Install, data: str, store: str, tmp_path: Path
) -> None:
    for option in ("--system", "--system-prompt"):
        for command in (("ask", "What is 1 + 1?"), ("eval", "run", "--data", data)):
            shown = run(*command, option, "@nowhere.txt")
            assert shown.code == 2
            assert "cannot read the system prompt in nowhere.txt" in shown.err
    file = tmp_path / "system.txt"
    file.write_text("Box it.")
    evaluated(run, install, data, store, "--questions", "1", "--system-prompt", f"@{file}")
    assert "system 'Box it.'" in run("eval", "list", "--store", store).out
