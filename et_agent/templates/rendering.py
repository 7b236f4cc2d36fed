"""Jinja as chat templates are rendered everywhere, which keeps apart what the template itself wrote.

The texts that a template consists of are `OwnText`; what it gets from outside is not, and keeps its
own characters through all that the template does with it. So the text is that of plain rendering.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.parser import Parser
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import escape

from et_agent.templates.own_text import OwnText, joined, own

__all__ = ["Template"]


class Template:
    """A chat template.

    Args:
        source: Jinja source.

    Raises:
        jinja2.TemplateError: It is not valid.
    """

    def __init__(self, source: str) -> None:
        environment = _Environment()
        self._template = environment.from_string(source)
        self.names: Final = frozenset(
            jinja2.meta.find_undeclared_variables(environment.parse(source))
        )
        """Names that the template looks up."""

    def render(self, values: Mapping[str, Any]) -> OwnText:
        """The rendered text.

        Args:
            values: What the template gets, by name. Texts are from outside unless they are `OwnText`.

        Raises:
            Exception: Any: a template is a program out of a model file.
        """
        rendered = self._template.render(
            raise_exception=_raise, strftime_now=_now, **{"tools": None, **values}
        )
        return rendered if isinstance(rendered, OwnText) else OwnText(rendered)


def _raise(message: str) -> NoReturn:
    raise ValueError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As Transformers has it: Jinja's own escapes for HTML."""
    how: dict[str, Any] = {"indent": indent, "separators": separators, "sort_keys": sort_keys}
    return json.dumps(value, ensure_ascii=ensure_ascii, default=_listed, **how)


def _listed(value: Any) -> list[Any]:
    """What a filter such as `map` gives, for JSON."""
    if not isinstance(value, Iterator):
        raise TypeError(f"{type(value).__name__} is not JSON serializable")
    return list(value)


class _Safe(OwnText):
    """What the filter `safe` gives: as in Jinja, a text that is put behind it is escaped for HTML."""

    def __add__(self, other: str) -> "_Safe":
        made = joined((self, other if isinstance(other, _Safe) else _escaped(other)))
        return _Safe(made, made.mask)


def _escaped(text: str) -> str:
    made = str(escape(str.__str__(text)))
    return text if made == text else made


def _safe(text: str) -> _Safe:
    return _Safe(text, text.mask if isinstance(text, OwnText) else None)


def _join(value: Any, d: str = "", attribute: str | int | None = None) -> OwnText:
    if attribute is not None:
        key = attribute
        value = (one[key] if isinstance(one, Mapping) else getattr(one, str(key)) for one in value)
    parts = [one if isinstance(one, str) else str(one) for one in value]
    return OwnText(d, d.mask if isinstance(d, OwnText) else None).join(parts)


class _Generation(jinja2.ext.Extension):
    """The tag around what an assistant says, which matters in training only."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _OwnTexts(CodeGenerator):
    """Makes each text that stands in a template `OwnText`."""

    def _output_const_repr(self, group: Any) -> str:
        return f"environment.own({''.join(group)!r})"

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        value = node.as_const(frame.eval_ctx)
        if isinstance(value, str):
            self.write(f"environment.own({value!r})")
        else:
            super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concat(map(str, (")
        for one in node.nodes:
            self.visit(one, frame)
            self.write(", ")
        self.write(")))")


class _Environment(SandboxedEnvironment):
    """The environment of Transformers' chat templates, for `OwnText`."""

    code_generator_class = _OwnTexts
    concat = staticmethod(joined)
    own = staticmethod(lru_cache(None)(own))

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[_Generation, jinja2.ext.loopcontrols],
            optimized=False,  # it would put texts together to plain ones
        )
        self.filters |= {
            "from_json": json.loads,
            "join": _join,
            "safe": _safe,
            "tojson": _tojson,
        }

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """A text's method `format`; what it makes is own if all parts are."""
        wrapped = super().wrap_str_format(value)
        if wrapped is None or not isinstance(value.__self__, OwnText):
            return wrapped

        def formatted(*args: Any, **kwargs: Any) -> str:
            made = str(wrapped(*args, **kwargs))
            parts: Sequence[Any] = (value.__self__, *args, *kwargs.values())
            return own(made) if all(map(_is_own, parts)) else OwnText(made)

        return formatted


def _is_own(value: Any) -> bool:
    return isinstance(value, OwnText) and all(value.mask)
