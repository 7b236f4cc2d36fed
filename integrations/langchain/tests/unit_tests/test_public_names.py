import os
import subprocess
import sys

import langchain_et_agent
import pytest


def test_the_public_names() -> None:
    assert langchain_et_agent.__all__ == [
        "ChatEntropyTree",
        "ConfidenceGateMiddleware",
        "EntropyTreeDecisionModel",
        "EntropyTreeResponse",
        "GateState",
        "GatedState",
        "answer_node",
        "clarify_node",
        "close_engines",
        "gate_node",
        "result_of",
        "route_by_action",
    ]
    assert dir(langchain_et_agent) == langchain_et_agent.__all__
    assert sorted(langchain_et_agent._HOMES) == langchain_et_agent.__all__


@pytest.mark.parametrize("name", langchain_et_agent.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(langchain_et_agent, name)
    assert found.__name__ == name
    assert found.__doc__


def test_other_names_are_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'chat'"):
        langchain_et_agent.chat  # noqa: B018


def run(code: str) -> str:
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout


def test_the_import_loads_no_agents() -> None:
    code = (
        "import sys, langchain_et_agent\n"
        "print([n for n in ('langchain', 'langgraph', 'langchain_core', 'numpy') if n in sys.modules])"
        "\nlangchain_et_agent.EntropyTreeDecisionModel, langchain_et_agent.route_by_action\n"
        "print([n for n in ('langchain', 'langgraph', 'llama_cpp') if n in sys.modules])"
    )
    assert run(code).split("\n")[:2] == ["[]", "[]"]


def test_without_langchain_the_error_names_the_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['langchain'] = None\n"
        "import langchain_et_agent\n"
        "try:\n"
        "    langchain_et_agent.ConfidenceGateMiddleware\n"
        "except ImportError as error:\n"
        "    print(error, '|', type(error.__cause__).__name__)\n"
    )
    assert "pip install 'langchain-et-agent[agents]' | ModuleNotFoundError" in run(code)
