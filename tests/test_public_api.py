"""The public surface, small and fixed, and quick to import."""

import subprocess
import sys

import pytest

import et_agent

IMPORT = """
import sys, time
began = time.perf_counter()
import et_agent
seconds = time.perf_counter() - began
heavy = ["llama_cpp", "numpy", "pydantic", "jinja2", "matplotlib", "torch"]
heavy = [name for name in heavy if name in sys.modules]
heavy += [name for name in sys.modules if name.startswith(("langchain", "langgraph"))]
print(seconds, *heavy)
"""


def test_the_public_names() -> None:
    assert et_agent.__all__ == [
        "AnswerKind",
        "AnswerShare",
        "AskOptions",
        "AskResult",
        "Direct",
        "EntropyTree",
        "EntropyTreeRunnable",
        "GateRunnable",
        "Greedy",
        "MultiChain",
        "OpenAICompatibleModel",
        "PendingAnswer",
        "Progress",
        "ScoreReport",
        "ScriptedModel",
        "StreamEnd",
        "TextDelta",
        "ask",
        "load_model",
        "score",
        "stream",
        "submit",
        "submit_all",
    ]
    assert dir(et_agent) == et_agent.__all__


@pytest.mark.parametrize("name", et_agent.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(et_agent, name)
    assert found.__name__ == name
    assert found.__doc__


def test_other_names_are_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'answer'"):
        et_agent.answer  # noqa: B018


def test_the_import_is_quick_and_loads_no_shared_library() -> None:
    quickest = 1e9
    for _ in range(3):  # other work on this machine must not fail the test
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", IMPORT],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds, *heavy = done.stdout.split()
        assert heavy == []
        quickest = min(quickest, float(seconds))
    assert quickest < 0.5


def test_a_scripted_model_needs_no_llama_cpp() -> None:
    code = (
        "import sys; from et_agent import MultiChain, ScriptedModel, ask\n"
        "with ScriptedModel.from_texts({'The answer is 4.': 1.0}) as model:\n"
        "    print(ask(model, 'What is 2 + 2?', decoder=MultiChain(leaves=2)).answer)\n"
        "print('llama_cpp' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["4", "False"]


def test_runnables_load_the_core_of_langchain_and_nothing_else_of_it() -> None:
    code = (
        "import sys; import et_agent.runnables\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "strangers = {'llama_cpp', 'matplotlib', 'sklearn', 'torch', 'transformers'}\n"
        "print(sorted(root for root in roots if root.startswith('lang') and root != 'langsmith'))\n"
        "print(sorted(roots & strangers))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split("\n")[:2] == ["['langchain_core']", "[]"]
