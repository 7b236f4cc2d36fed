"""What only a process of its own can show: signals, pipes, encodings, terminals, start-up."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.posix

ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, time
from contextlib import closing
from et_agent.cli import loading
from et_agent.cli.main import main
from et_agent.engines.scripted import ScriptedModel

# Tests that a shell started in the background inherit that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
model = ScriptedModel.from_texts({
    "First. \\\\boxed{72}": 0.5,
    "Second é. \\\\boxed{é24}": 0.3,
    "A long one " * 30: 0.2,
})
play, seconds, ready = model._script, float(sys.argv.pop(1)), sys.argv.pop(1)

def slowly(prompt, tokens):
    open(ready, "w").close()
    time.sleep(seconds)
    return play(prompt, tokens)

model._script = slowly
loading.open_model = lambda *_, **__: closing(model)
sys.exit(main())
"""


def start(
    seconds: float,
    *arguments: str,
    encoding: str = "utf-8",
    terminal: int | None = None,
    ready: Path | str = os.devnull,
) -> "subprocess.Popen[bytes]":
    where = subprocess.PIPE if terminal is None else terminal
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": encoding,
        "COLUMNS": "80",
        "TERM": "xterm",
        "FORCE_COLOR": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(seconds), str(ready), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=where,
        stderr=where,
        env=environment,
    )


def interrupt(process: "subprocess.Popen[bytes]", ready: Path) -> None:
    """Send Ctrl-C once the process decodes."""
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)


def test_ctrl_c_prints_what_is_known(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with start(0.02, "ask", "--temperature", "1", "How many?", ready=ready) as process:
        interrupt(process, ready)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "INCOMPLETE" in out.decode()
    assert "not finished" in out.decode()
    assert "\x1b" not in out.decode()
    assert err == b""


def test_ctrl_c_in_json_mode_gives_every_document(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    questions = ("a?", "b?", "c?")
    with start(0.02, "ask", "--temperature", "1", "--json", *questions, ready=ready) as process:
        interrupt(process, ready)
        out, err = process.communicate(timeout=20)
    documents = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 130
    assert [document["question"] for document in documents] == list(questions)
    assert not any(document["complete"] for document in documents)
    assert err == b""


def test_a_second_ctrl_c_leaves_at_once(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with start(60, "ask", "How many?", ready=ready) as process:
        interrupt(process, ready)
        interrupt(process, ready)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_a_closed_pipe_is_no_error() -> None:
    with start(0, "ask", "--json", "a?", "b?") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=20) == 141
    assert err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("target", "code"), [("/dev/full", 2), ("&-", 0)])
def test_output_that_cannot_be_written(target: str, code: int) -> None:
    arguments = [sys.executable, "-c", PROGRAM, "0", os.devnull, "ask", "--json", "a?"]
    child = subprocess.run(
        ["/bin/sh", "-c", f'"$@" >{target}', "sh", *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )
    assert child.returncode == code
    assert b"Traceback" not in child.stderr
    assert (b"cannot write the output" in child.stderr) == (code == 2)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_the_characters(encoding: str) -> None:
    with start(0, "ask", "--temperature", "1", "Où?", encoding=encoding) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert b"#" in out
    with start(0, "ask", "--temperature", "1", "--json", "Où → ?", encoding=encoding) as process:
        out, _ = process.communicate(timeout=20)
    assert json.loads(out.decode(encoding))["question"] == "Où → ?"


def test_invalid_utf_8_on_the_command_line() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [sys.executable.encode(), b"-m", b"et_agent.cli.main", b"ask", b"caf\xe9?"],
        capture_output=True,
        env=environment,
        check=False,
    )
    assert child.returncode == 2
    assert b"not valid UTF-8" in child.stderr
    assert b"Traceback" not in child.stderr


def test_the_live_display_on_a_terminal() -> None:
    master, slave = os.openpty()
    with start(0.003, "ask", "--temperature", "1", "How many?", terminal=slave) as process:
        os.close(slave)
        seen = b""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            seen += data
        assert process.wait(timeout=20) == 0
    os.close(master)
    text = seen.decode()
    assert "known so far" in text
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "share of the paths" in text


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom et_agent.cli.main import main\nmain(['--help'])\nmain(['eval', '--help'])\n"
        "heavy = {'numpy', 'llama_cpp', 'sympy', 'huggingface_hub'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "main(['ask', '--help'])\n"  # it shows the settings of decoders, which need numpy
        "assert heavy & set(sys.modules) <= {'numpy'}, heavy & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=20)
