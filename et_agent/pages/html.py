"""A result as one HTML file that needs no network and runs no text of a model.

Texts go into the page as JSON in a data block, without any character that ends it, and reach the
document as text nodes. A Content-Security-Policy allows the page's own script and style by their
digests and nothing else: no other script, no handler in an attribute, no request.
"""

import base64
import hashlib
import html
import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from et_agent.arguments import checks_arguments

if TYPE_CHECKING:
    from et_agent.gate import Decision
    from et_agent.results import AskResult

__all__ = ["drawing_module", "drawing_style", "notebook_html", "result_page"]

# In the order in which they need each other.
_LIBRARIES: Final = ("d3-path", "d3-selection", "d3-hierarchy", "d3-shape")
_DRAWING: Final = ("basics", "facts", "tree", "path", "result")
_NAMES: Final = re.compile(r"^(?:function|class|const) (\w+)", re.MULTILINE)
_MARKUP: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&"}
_UNUSED: Final = ("tokens", "received", "prompt_attention")
_LONGEST_TITLE: Final = 80
_DIGITS: Final = 5


@checks_arguments
def result_page(result: "AskResult", decision: "Decision | None" = None) -> str:
    """The page of a result.

    Args:
        result: What to show. Single tokens are shown if it was asked for with `alternatives`.
        decision: What a gate decided about it.
    """
    data = {
        "result": _slim(result),
        "decision": None if decision is None else decision.model_dump(mode="json"),
    }
    style, script = drawing_style(), _script()
    title = "".join(one if one.isprintable() else " " for one in result.question)
    parts = {
        "policy": "; ".join(
            (
                "default-src 'none'",
                f"script-src '{_digest(script)}'",
                f"style-src '{_digest(style)}'",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "title": html.escape(" ".join(title.split())[:_LONGEST_TITLE]),
        "style": style,
        "script": script,
        "data": _block(data),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("assets", "page.html"))


@checks_arguments
def notebook_html(result: "AskResult") -> str:
    """The page in a frame that can reach neither the notebook nor the network."""
    page = html.escape(result_page(result))
    return (
        '<iframe title="Result of et-agent" sandbox="allow-scripts" '
        f'style="width:100%;height:720px;border:0" srcdoc="{page}"></iframe>'
    )


def _slim(result: "AskResult") -> dict[str, Any]:
    """A result's JSON without what the page does not show, and with short numbers."""
    data = result.model_dump(mode="json")
    for node in (data["tree"] or {}).get("nodes", ()):
        for name in _UNUSED:
            del node[name]
        for name in ("entropies", "log_probs"):
            node[name] = [None if one is None else round(one, _DIGITS) for one in node[name]]
        for choices in node["alternatives"] or ():
            for choice in choices:
                choice["probability"] = round(choice["probability"], _DIGITS)
    return data


def _block(data: object) -> str:
    """JSON that neither ends its script element nor begins a comment in it."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(_MARKUP)


def drawing_module() -> str:
    """What draws results, as an ES module that exports all of its parts, for pages of servers."""
    own = _drawing()
    return "\n".join([_libraries(), own, f"export {{ {', '.join(_NAMES.findall(own))} }};\n"])


@cache
def drawing_style() -> str:
    """The style of what `drawing_module` draws."""
    return _asset("assets", "page.css")


@cache
def _script() -> str:
    own = f"{_drawing()}\n{_asset('assets', 'page.js')}"
    return "\n".join([_libraries(), f'(() => {{\n"use strict";\n{own}\n}})();\n'])


def _libraries() -> str:
    return "\n".join(_asset("vendor", f"{name}.min.js") for name in _LIBRARIES)


def _drawing() -> str:
    return "\n".join(_asset("assets", f"{name}.js") for name in _DRAWING)


def _asset(*names: str) -> str:
    return files("et_agent.pages").joinpath(*names).read_text("utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
