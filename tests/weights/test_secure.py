"""Downloads go over TLS, or nowhere; and into the cache alone."""

import ast
from pathlib import Path

import pytest

from et_agent.errors import ModelDownloadError
from et_agent.weights.download import fetch
from et_agent.weights.secure import is_secure
from et_agent.weights.sources import FileRequest, HubSource

PACKAGE = Path(__file__).parent.parent.parent / "et_agent"


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://hub.invalid/x", True),
        ("HTTPS://hub.invalid/x", True),
        ("file:///folder/x.whl", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]/x", True),
        ("http://localhost/x", True),
        ("http://trusted.invalid/x", True),
        ("http://port.invalid:81/x", True),
        ("http://port.invalid/x", False),
        ("http://hub.invalid/x", False),
        ("http://localhost.invalid/x", False),
        ("http://127.0.0.1.invalid/x", False),
        ("http://127.0.0.1@hub.invalid/x", False),
        ("http://10.0.0.1/x", False),
        ("http:///x", False),
        ("ftp://hub.invalid/x", False),
        ("//hub.invalid/x", False),
        ("http://[::1/x", False),
        ("http://127.0.0.1:99999/x", False),
        ("", False),
    ],
)
def test_an_address_is_secure_if_nobody_is_on_the_way(url: str, secure: bool) -> None:
    assert is_secure(url, frozenset({"trusted.invalid", "port.invalid:81"})) is secure


def test_a_hub_without_tls_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(hub, "ENDPOINT", "http://hub.invalid")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    source = HubSource(repo="owner/name", file="model.gguf")
    request = FileRequest(label="model", target=tmp_path / "model.gguf", sources=(source,))
    with pytest.raises(ModelDownloadError, match="without TLS"):
        fetch(request)


def test_only_these_files_open_connections() -> None:
    """Whoever adds another one has to look at TLS and at where it writes; the last only reads names."""
    openers = {"httpx", "urllib.request", "requests", "socket", "huggingface_hub", "http.client"}
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if any(name.partition(".")[0] in openers or name in openers for name in names):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found == {
        "engines/openai_compatible.py",
        "engines/openai_connection.py",
        "evaluation/datasets/locating.py",
        "weights/hub.py",
        "weights/indexes.py",
        "weights/simple_page.py",
    }
