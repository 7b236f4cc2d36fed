import json
from pathlib import Path

import pytest

from et_agent.decoding.thresholds import find_thresholds, thresholds_folder
from et_agent.storage import unsealed
from tests.cli.conftest import Install, Run


@pytest.fixture
def questions(tmp_path: Path) -> str:
    file = tmp_path / "pilot.txt"
    file.write_text("one?\ntwo?\n", encoding="utf-8")
    return str(file)


def test_pilot_is_saved_and_found(run: Run, install: Install, questions: str) -> None:
    model = install()
    shown = run("pilot", "--questions", questions)
    assert (shown.code, shown.err) == (0, "")
    assert "95" in shown.out
    assert "entropy (nats)" in shown.out
    saved = thresholds_folder() / f"{model.info.fingerprint}.json"
    assert f"saved: {saved}" in shown.out
    found = find_thresholds(model.info.fingerprint)
    assert found is not None
    assert found.source == "pilot.txt"
    install()
    assert run("ask", "--schedule", "online", "one?").code == 0


def test_pilot_to_a_file(run: Run, install: Install, questions: str, tmp_path: Path) -> None:
    install()
    target = tmp_path / "thresholds.json"
    assert run("pilot", "--questions", questions, "--output", str(target)).code == 0
    written = json.loads(target.read_text("utf-8"))
    assert unsealed(written)["questions"] == 2
    assert "digest" in written
    assert not thresholds_folder().exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--chains", "0"], "--chains is 0"),
        (["--temperature", "0"], "--temperature: Input should be"),
        (["--max-tokens", "-1"], "--max-tokens is -1"),
        (["--seed", "-1"], "--seed is -1"),
        (["--threads", "0"], "--threads is 0"),
        (["--output", "/no/such/folder/x.json"], "--output"),
    ],
)
def test_options_that_cannot_be(
    run: Run, install: Install, questions: str, options: list[str], says: str
) -> None:
    model = install()
    shown = run("pilot", "--questions", questions, *options)
    assert shown.code == 2
    assert says in shown.err
    assert model.decoded == 0


def test_a_missing_file_of_questions(run: Run, install: Install) -> None:
    install()
    assert run("pilot", "--questions", "missing.txt").code == 2
    assert run("pilot").code == 2
