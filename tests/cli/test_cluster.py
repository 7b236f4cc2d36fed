"""`--engine` where there is no cluster, and no Ray."""

import sys
import threading

import pytest

from et_agent.cli import cluster
from tests.cli.conftest import Run


@pytest.mark.parametrize("command", [("ask", "hi"), ("eval", "run", "--data", "svamp-sample")])
def test_without_the_package_it_is_said_how_to_get_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _name: None)
    shown = run(*command, "--engine", "ray")
    assert shown.code == 2
    assert "integrations/ray" in shown.err
    assert "integrations/ray" in shown.err


@pytest.mark.parametrize("command", [("ask", "hi"), ("eval", "run", "--data", "svamp-sample")])
def test_an_address_is_for_a_cluster(run: Run, command: tuple[str, ...]) -> None:
    shown = run(*command, "--ray-address", "h:6379")
    assert shown.code == 2
    assert "--engine ray" in shown.err


def test_what_goes_on_in_this_process_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: name)  # nothing is imported before
    shown = run("ask", "hi", "--engine", "ray", "--prefix-file", "f")
    assert shown.code == 2
    assert "--prefix-file" in shown.err


def test_other_threads_do_not_write_into_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    stream = cluster._OfThisThread(sys.stdout, sys.stderr)
    stream.write("mine\n")
    other = threading.Thread(target=stream.write, args=("not mine\n",))
    other.start()
    other.join()
    assert tuple(capsys.readouterr()) == ("mine\n", "not mine\n")
    assert stream.encoding == sys.stdout.encoding
