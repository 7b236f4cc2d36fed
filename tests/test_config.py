import re
from pathlib import Path

import pytest

from et_agent.config import VARIABLES, Config, read_config, set_value, source_of, unset_value
from et_agent.errors import SettingsError
from et_agent.storage import config_file
from et_agent.weights.catalog import CATALOG, DEFAULT_MODEL, SMALL_MODEL, default_model

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ET_AGENT_CONFIG", str(tmp_path / "folder" / "config.toml"))
    return tmp_path / "folder" / "config.toml"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert read_config() == Config()
    assert default_model() == DEFAULT_MODEL
    assert {DEFAULT_MODEL, SMALL_MODEL} <= CATALOG.keys()
    assert source_of("model") is None
    assert not file.exists()


def test_the_order_is_environment_file_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, 'model = "smollm2-135m"\nthreads = 3\n')
    assert (read_config().model, read_config().threads) == ("smollm2-135m", 3)
    assert source_of("model") == str(file)
    monkeypatch.setenv("ET_AGENT_MODEL", "ollama:llama3.2")
    monkeypatch.setenv("ET_AGENT_PREFIX_MEMORY", "128")
    assert read_config() == Config(model="ollama:llama3.2", threads=3, prefix_memory=128)
    assert default_model() == "ollama:llama3.2"
    assert source_of("model") == "ET_AGENT_MODEL"
    monkeypatch.setenv("ET_AGENT_MODEL", " ")
    assert default_model() == "smollm2-135m"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("modle = 'x'", r"config\.toml: there is no setting 'modle'. Did you mean model\?.*unset"),
        ("[gate]\nanswer_at = 0.8", r"there is no setting 'gate'"),
        (
            "threads = 0",
            r"config\.toml: threads takes a whole number from 1 to 512, not 0: correct",
        ),
        ("threads = '4'", r"config\.toml: threads takes a whole number from 1 to 512, not '4'"),
        ("threads = true", r"config\.toml: threads takes .*, not True"),
        ("model = 3", r"config\.toml: model takes a text that is not empty, not 3"),
        ("model = ''", r"config\.toml: model"),
        ("model = ", r"config\.toml is not TOML"),
        ("\0", r"config\.toml is not TOML"),
    ],
)
def test_a_bad_file_is_named_with_its_key(file: Path, text: str, says: str) -> None:
    write(file, text)
    with pytest.raises(SettingsError, match=says):
        default_model()


def test_a_value_that_is_not_set_says_so_once(file: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        set_value("threads", "many")
    assert str(caught.value) == (
        "threads takes a whole number from 1 to 512, not 'many': nothing was set"
    )
    assert not file.exists()


def test_a_file_that_cannot_be_read(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be read: it is not a regular file"):
        read_config()
    with pytest.raises(SettingsError, match="cannot be read"):
        set_value("threads", "2")


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_THREADS", "many")
    with pytest.raises(SettingsError, match=r"ET_AGENT_THREADS: threads takes .*, not"):
        read_config()


def test_other_lines_of_the_file_stay(file: Path) -> None:
    write(file, "# my settings\n'threads' = 3  # two are free\n")
    assert set_value("Prefix-Memory", "256").prefix_memory == 256
    assert set_value("threads", "2").threads == 2
    assert file.read_text("utf-8") == "# my settings\nthreads = 2\nprefix_memory = 256\n"
    assert unset_value("prefix-memory")
    assert not unset_value("prefix_memory")
    assert file.read_text("utf-8") == "# my settings\nthreads = 2\n"


@pytest.mark.parametrize("value", ['a "b" \\ c', "C:\\models\\x.gguf", "é\x7f\t#", "x = 3"])
def test_any_text_survives(value: str) -> None:
    set_value("model", value)
    assert read_config().model == value


def test_what_cannot_be_changed_by_lines_is_refused(file: Path) -> None:
    text = 'model = """\nthreads = 3\n"""\n'
    write(file, text)
    with pytest.raises(SettingsError, match="edit it by hand"):
        set_value("threads", "2")
    assert file.read_text("utf-8") == text


def test_an_unknown_key_can_be_removed(file: Path) -> None:
    write(file, "modle = 'x'\nthreads = 3\n")
    assert unset_value("modle")
    assert read_config().threads == 3


def test_values_are_checked_before_they_are_written(file: Path) -> None:
    for key, value in (
        ("threads", "0"),
        ("threads", "x"),
        ("prefix_memory", "-1"),
        ("nosuch", "1"),
    ):
        with pytest.raises(SettingsError):
            set_value(key, value)
    assert not file.exists()


def test_the_folder_is_that_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ET_AGENT_CONFIG")
    assert config_file().name == "config.toml"
    assert config_file().parent.name == "et-agent"


def test_runnables_without_a_model_take_the_setting(file: Path) -> None:
    from et_agent.runnables import EntropyTreeRunnable

    assert EntropyTreeRunnable().model == DEFAULT_MODEL
    write(file, "model = 'ollama:mine'")
    assert EntropyTreeRunnable().model == "ollama:mine"
    assert EntropyTreeRunnable(model="x.gguf").model == "x.gguf"
    write(file, "modle = 'ollama:mine'")
    with pytest.raises(SettingsError, match=r"config\.toml: there is no setting 'modle'"):
        EntropyTreeRunnable()


def test_every_environment_variable_is_listed() -> None:
    """In the one table of the code and of the page, and nothing else is."""
    used = set()
    for path in (ROOT / "et_agent").rglob("*.py"):
        used |= set(re.findall(r"\bET_AGENT_[A-Z_]*[A-Z]\b", path.read_text("utf-8")))
    used = {name for name in used if not name.startswith("ET_AGENT_GATE_")} - {"ET_AGENT_BUILD"}
    listed = {name for name in VARIABLES if not name.endswith("…")}
    assert used == listed
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [name for name in VARIABLES if f"`{name}`" not in page] == []
    assert [key for key in Config.model_fields if f"`{key}`" not in page] == []


def test_a_line_within_a_text_is_not_taken_for_a_setting(file: Path) -> None:
    text = 'model = """a\\\nthreads = 3\n"""\n'
    write(file, text)
    with pytest.raises(SettingsError, match="by hand"):
        unset_value("threads")
    assert file.read_text() == text


def test_what_is_no_toml_can_be_mended(file: Path) -> None:
    write(file, "threads = \nmodel = 'x'\n")
    assert unset_value("threads")
    assert read_config().model == "x"


@pytest.mark.parametrize("model", ["a\u2028b", "a\x85b", "a\x0bb"])
def test_a_text_may_hold_other_ends_of_lines(file: Path, model: str) -> None:
    set_value("model", model)
    set_value("threads", "2")
    assert (read_config().model, read_config().threads) == (model, 2)


def test_a_file_may_begin_with_a_mark_and_have_the_line_ends_of_windows(file: Path) -> None:
    write(file, "")
    file.write_bytes(b"\xef\xbb\xbfthreads = 3\r\nmodel = 'x'\r\n")
    assert (read_config().model, read_config().threads) == ("x", 3)
