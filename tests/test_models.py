"""What was imported from `et_agent.models` is still found."""

import importlib

import pytest

import et_agent.engines.base
import et_agent.templates.messages
import et_agent.weights.catalog

MOVED = [
    ("base", "LanguageModel", et_agent.engines.base.LanguageModel),
    ("base", "Message", et_agent.templates.messages.Message),
    ("base", "Room", et_agent.engines.base.Capacity),
    ("catalog", "DEFAULT_MODEL", et_agent.weights.catalog.DEFAULT_MODEL),
]


@pytest.mark.parametrize(("module", "name", "now"), MOVED)
def test_an_old_import_warns_and_works(module: str, name: str, now: object) -> None:
    importlib.import_module("et_agent.models")
    former = importlib.import_module(f"et_agent.models.{module}")
    with pytest.warns(DeprecationWarning, match=r"will be removed: use et_agent\.\w+\.\w+\."):
        assert getattr(former, name) is now


def test_the_warning_points_at_the_import() -> None:
    code = "from et_agent.models.scripted import ScriptedModel"
    with pytest.warns(DeprecationWarning, match="ScriptedModel") as told:
        exec(compile(code, "importer.py", "exec"), {})
    assert told[0].filename == "importer.py"


def test_what_was_never_there_is_not_found() -> None:
    importlib.import_module("et_agent.models")
    former = importlib.import_module("et_agent.models.base")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = former.Nothing
