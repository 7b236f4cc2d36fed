"""`et-agent serve`, and the files that start it in containers."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from et_agent_server import ServerSettings, serving
from fastapi import FastAPI

from et_agent import ScriptedModel
from et_agent.cli import loading, main

ROOT = Path(__file__).resolve().parents[4]
CONTAINER = ROOT / "packaging" / "container"
KEY = "a-key-of-some-length"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[FastAPI, ServerSettings]]:
    """What the command would serve, with scripted models in the place of all."""
    calls: list[tuple[FastAPI, ServerSettings]] = []
    monkeypatch.delenv("ET_AGENT_SERVER_KEYS", raising=False)
    monkeypatch.setattr(
        loading, "open_model", lambda *_, **__: ScriptedModel.from_texts({"x": 1.0})
    )
    monkeypatch.setattr(serving, "serve", lambda app, settings, **_: calls.append((app, settings)))
    return calls


def names(app: FastAPI) -> list[str]:
    found: list[str] = app.state.et_agent.models.names()
    return found


def test_models_have_names(started: list[tuple[FastAPI, ServerSettings]]) -> None:
    arguments = ["serve", "--model", "a/b.gguf", "--model", "mine=hf:x/y/z.gguf"]
    assert main.main([*arguments, "--model", "http://127.0.0.1:1/v1#served"]) == 0
    ((app, settings),) = started
    assert names(app)[::2] == ["b", "mine", "served"]
    assert settings.doubt == "abstain"
    assert settings.policy.answer_at == 0.8


def test_a_larger_model_is_served_too(started: list[tuple[FastAPI, ServerSettings]]) -> None:
    arguments = ["--model", "small=x", "--escalate-to", "large=y", "--answer-at", "0.9"]
    assert main.main(["serve", *arguments, "--leaves", "80"]) == 0
    ((app, settings),) = started
    assert names(app)[::2] == ["small", "large"]
    assert (settings.doubt, settings.escalate_to, settings.policy.answer_at) == (
        "escalate",
        "large",
        0.9,
    )
    assert settings.leaves == 80


def test_keys_come_from_a_file_or_the_environment(
    started: list[tuple[FastAPI, ServerSettings]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# mine\n{KEY}\n\n{KEY}-2\n")
    assert main.main(["serve", "--host", "0.0.0.0", "--api-keys", str(file)]) == 0
    monkeypatch.setenv("ET_AGENT_SERVER_KEYS", f"{KEY}, {KEY}-2")
    assert main.main(["serve", "--host", "0.0.0.0"]) == 0
    for _, settings in started:
        assert [key.get_secret_value() for key in settings.api_keys] == [KEY, f"{KEY}-2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "open to other machines"),
        (["--api-keys", "/nowhere"], "cannot be read"),
        (["--on-doubt", "escalate"], "set --escalate-to"),
        (["--leaves", "0"], "leaves"),
        (["--answer-at", "2"], "--answer-at"),
        (
            ["--model", "a=x", "--escalate-to", "b=y", "--prefix-file", "kept"],
            "--prefix-file keeps the prompts of one model, and 2 are served (a, b)",
        ),
    ],
)
def test_wrong_options_are_told(
    started: list[tuple[FastAPI, ServerSettings]],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert main.main(["serve", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not started


def test_the_command_tells_how_to_install_the_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from et_agent.cli import serving as command

    monkeypatch.setattr(command, "find_spec", lambda _: None)
    assert main.main(["serve"]) == 2
    assert "integrations/server'" in capsys.readouterr().err


def test_the_composition_is_one_that_the_command_takes(
    started: list[tuple[FastAPI, ServerSettings]], tmp_path: Path
) -> None:
    service = yaml.safe_load((CONTAINER / "compose.yaml").read_text())["services"]["et-agent"]
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    places = {"/run/secrets/api_keys": str(keys), "/models": str(tmp_path)}
    arguments = service["command"]
    for name, place in places.items():
        arguments = [one.replace(name, place) for one in arguments]
    entry = re.search(r'ENTRYPOINT \["et-agent", (.*)\]', (CONTAINER / "Containerfile").read_text())
    assert entry is not None
    given = re.findall(r'"([^"]*)"', entry[1])
    assert main.main([*given, *arguments]) == 0
    ((app, settings),) = started
    assert names(app) == ["small", "small:gated", "large", "large:gated"]
    assert settings.host == "0.0.0.0"


def test_the_container_copies_what_is_there() -> None:
    lines = (CONTAINER / "Containerfile").read_text().splitlines()
    copied = [
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
        if name != "wheels"
    ]
    assert copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.model
@pytest.mark.posix
def test_the_command_serves_until_it_is_told_to_stop_and_starts_warm(tmp_path: Path) -> None:
    assert cached_tokens(tmp_path / "prompts") == 0
    assert cached_tokens(tmp_path / "prompts") > 0


def cached_tokens(prompts: Path) -> int:
    """Start the command, ask once, stop it; how much of the prompt was kept by an earlier process."""
    command = [sys.executable, "-m", "et_agent.cli.main", "serve", "--model", "smollm2-135m"]
    command += ["--port", "0", "--leaves", "2", "--context", "1024", "--threads", "1"]
    command += ["--prefix-file", str(prompts)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        url = None
        while url is None:
            line = process.stderr.readline()
            assert line
            url = re.search(r"http://\S+", line)
        sent = {
            "model": "smollm2-135m",
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 4,
        }
        reply = httpx.post(f"{url[0]}/chat/completions", json=sent, timeout=60)
        assert reply.status_code == 200
        process.send_signal(signal.SIGTERM)
        log = process.stderr.read()
    assert '"status": 200' in log
    assert process.returncode == 0
    found: int = reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
    return found
