import json
import re
from pathlib import Path

import pytest

from et_agent.cli.run_options import FAST_HELP, MODEL_SHOWN
from et_agent.config import VARIABLES
from et_agent.weights.catalog import DEFAULT_MODEL, SMALL_MODEL
from tests.cli.conftest import Install, Run
from tests.weights.gguf_builder import write_gguf


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path / "config.toml"


def test_set_get_list_unset(run: Run, file: Path) -> None:
    assert run("config", "get", "model").out == "\n"
    assert run("config", "path").out == f"{file}\n"
    done = run("config", "set", "model", "QWEN2.5-coder-1.5b")
    assert (done.code, done.err) == (0, "")
    assert run("config", "get", "model").out == "qwen2.5-coder-1.5b\n"
    shown = run("config", "list").out
    assert "qwen2.5-coder-1.5b" in shown
    assert "ET_AGENT_MODEL" in shown
    listed = json.loads(run("config", "list", "--json").out)
    assert listed["settings"]["model"] == {"value": "qwen2.5-coder-1.5b", "from": str(file)}
    assert listed["variables"]["ET_AGENT_CONFIG"] == str(file)
    assert run("config", "unset", "model").code == 0
    assert "is not set" in run("config", "unset", "model").err
    assert run("config", "get", "model").out == "\n"


def test_the_list_shows_what_holds_where_nothing_is_set(run: Run, file: Path) -> None:
    rows = [line.split() for line in run("config", "list").out.splitlines()]
    assert ["model", DEFAULT_MODEL, "default"] in rows
    assert ["prefix_memory", "64", "default"] in rows
    run("config", "set", "prefix_memory", "8")
    assert "prefix_memory  8" in run("config", "list").out
    settings = json.loads(run("config", "list", "--json").out)["settings"]
    assert settings["model"] == {"value": None, "from": None}


def test_a_value_that_does_not_fit_names_the_key_and_what_it_takes(run: Run) -> None:
    done = run("config", "set", "threads", "many")
    assert done.code == 2
    assert done.err == (
        "error: threads takes a whole number from 1 to 512, not 'many': nothing was set\n"
    )


def test_a_negative_number_is_a_value_and_what_is_shown_is_what_was_written(
    run: Run, file: Path
) -> None:
    done = run("config", "set", "threads", "-1")
    assert (done.code, done.out) == (2, "")
    assert "threads takes a whole number from 1 to 512, not '-1'" in done.err
    assert run("config", "set", "threads", "2.0").out == f"threads = 2  ({file})\n"


def test_a_folder_is_no_file_of_settings(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ET_AGENT_CONFIG", ".")
    done = run("config", "set", "threads", "2")
    assert done.code == 2
    assert "cannot be read: it is not a regular file" in done.err


def test_a_path_is_kept_absolute(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(tmp_path / "my.gguf")
    monkeypatch.chdir(tmp_path)
    assert run("config", "set", "model", "my.gguf").code == 0
    assert run("config", "get", "model").out == f"{tmp_path / 'my.gguf'}\n"


def test_the_list_tells_no_key_and_no_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_API_KEY", "secret")
    monkeypatch.setenv("ET_AGENT_INDEX", "https://me:secret@index.example/simple /folder")
    for options in ((), ("--json",)):
        shown = run("config", "list", *options).out
        assert "secret" not in shown
        assert "index.example/simple" in shown
        assert "(a key)" in shown


def test_the_list_shows_of_each_variable_what_it_holds_or_that_it_is_not_set(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ET_AGENT_THREADS", "3")
    monkeypatch.setenv("ET_AGENT_GATE_ANSWER_AT", "0.8")
    shown = run("config", "env").out
    assert re.search(r"^ET_AGENT_THREADS +the setting `threads`\n +now 3$", shown, re.MULTILINE)
    assert re.search(r"^ET_AGENT_MODEL +the setting `model` \(not set\)$", shown, re.MULTILINE)
    assert " ".join(shown.split()).count("(not set)") == len(VARIABLES) - 2
    listed = json.loads(run("config", "env", "--json").out)
    assert listed["ET_AGENT_GATE_…"] == "ET_AGENT_GATE_ANSWER_AT=0.8"
    assert listed["ET_AGENT_MODEL"] is None


def test_keys_are_told_as_they_are_kept(run: Run, file: Path) -> None:
    assert run("config", "set", "Prefix-Memory", "8").out.startswith("prefix_memory = 8 ")
    assert run("config", "set", "MODEL", "http://localhost:8080/v1#tiny").code == 0
    assert run("config", "get", "model").out == "http://localhost:8080/v1#tiny\n"


def test_a_variable_that_goes_before_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_THREADS", "1")
    assert "ET_AGENT_THREADS is set" in run("config", "set", "threads", "2").err
    assert run("config", "get", "threads").out == "1\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "model", "nosuch"), "Unknown model 'nosuch'"),
        (("set", "model", "./nosuch.gguf"), "No such file"),
        (("set", "model", "ollama:nosuch"), "ollama:nosuch is not there"),
        (("set", "model", "hf:nothing"), "does not name a file on the hub"),
        (("set", "model", "http://"), "is no address"),
        (("set", "model", "http://me:secret@host/v1"), "holds a password"),
        (("set", "modle", "x"), "Did you mean model?"),
        (("get", "modle"), "Did you mean model?"),
        (("set", "threads", "0"), "threads"),
    ],
)
def test_what_is_wrong_is_said_and_not_kept(
    run: Run, file: Path, arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(file.parent / "none"))
    shown = run("config", *arguments)
    assert shown.code == 2
    assert says in shown.err
    assert not file.exists()


def test_commands_take_the_default_model_of_the_settings(run: Run, file: Path) -> None:
    file.write_text("model = 'ollama:mine'\n")
    assert "default, by your settings: ollama:mine" in run("models", "list").out
    file.write_text(f"model = '{SMALL_MODEL}'\n")
    listed = json.loads(run("models", "list", "--json").out)
    assert [one["name"] for one in listed if one["default"]] == [SMALL_MODEL]


@pytest.mark.parametrize("command", [("ask",), ("gate", "ask"), ("models", "list")])
def test_a_broken_file_is_an_error_of_every_command(
    run: Run, file: Path, command: tuple[str, ...]
) -> None:
    file.write_text("modle = 'x'\n")
    shown = run(*command, *(("How many?",) if "ask" in command else ()))
    assert shown.code == 2
    assert f"{file}: there is no setting 'modle'. Did you mean model?" in shown.err


def test_help_names_the_default_and_the_small_model() -> None:
    assert MODEL_SHOWN.startswith(f"{DEFAULT_MODEL},")
    assert SMALL_MODEL in FAST_HELP


@pytest.mark.parametrize(
    "path",
    [
        ("ask",),
        ("gate", "ask"),
        ("eval", "run"),
        ("calibrate", "model"),
        ("pilot",),
        ("score",),
        ("tune",),
    ],
)
def test_every_command_with_a_model_takes_the_small_one(
    run: Run, file: Path, path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    (file.parent / "questions.txt").write_text("2 + 3?\n")
    monkeypatch.chdir(file.parent)
    given = {
        ("ask",): ("2 + 3?",),
        ("gate", "ask"): ("2 + 3?",),
        ("eval", "run"): ("--data", "own.jsonl"),
        ("calibrate", "model"): ("--data", "own.jsonl"),
        ("pilot",): ("--questions", "questions.txt"),
        ("score",): ("--question", "2 + 3?", "--answer", "5"),
        ("tune",): (),
    }[path]
    (file.parent / "own.jsonl").write_text(
        "".join(f'{{"question": "{n} + 3?", "answer": "{n + 3}"}}\n' for n in range(8))
    )
    shown = run(*path, *given, "--fast", "--model", "x.gguf")
    assert shown.code == 2
    assert "leave out --fast or --model" in shown.err


@pytest.mark.parametrize("command", [("ask",), ("gate", "ask")])
def test_fast_takes_the_small_model(
    run: Run,
    install: Install,
    file: Path,
    command: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install()
    from et_agent.cli import loading

    opened, put = [], loading.open_model

    def noted(spec: str, **settings: object) -> object:
        opened.append(spec)
        return put(spec, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "open_model", noted)
    file.write_text("model = 'ollama:mine'\n")
    run(*command, "48 + 24?")
    run(*command, "--fast", "48 + 24?")
    assert opened == ["ollama:mine", SMALL_MODEL]
    shown = run(*command, "--fast", "--model", "x.gguf", "48 + 24?")
    assert shown.code == 2
    assert "leave out --fast or --model" in shown.err


def test_doctor_tells_the_settings(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_MODEL", "./nosuch.gguf")
    file.write_text("threads = 2\n")
    checks = json.loads(run("doctor", "--json").out)["checks"]
    (settings,) = [one for one in checks if one["name"] == "settings"]
    assert settings["status"] == "ok"
    assert settings["detail"] == f"model = ./nosuch.gguf (ET_AGENT_MODEL), threads = 2 ({file})"
    file.write_text("thread = 2\n")
    shown = run("doctor", "--json")
    assert shown.code == 1
    assert "Did you mean threads?" in json.loads(shown.out)["checks"][-1]["detail"]
