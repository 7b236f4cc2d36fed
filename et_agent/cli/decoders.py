"""Options of decoders: read off the settings' classes, and given back to them.

The classes come with their runs, hence with numpy. They are loaded when a command's options are
looked at, not with the command line.
"""

import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import typer
from pydantic import ValidationError
from typer.main import get_command

from et_agent.cli.help import ShortHelpCommand
from et_agent.cli.spelling import with_options
from et_agent.cli.terminal import tell_deprecated
from et_agent.errors import SettingsError

if TYPE_CHECKING:
    from et_agent.decoding.base import DecoderSettings

__all__ = [
    "CHAINS",
    "STOPPING_PANEL",
    "TREE",
    "TREE_PANEL",
    "ChosenDecoder",
    "DecoderCommand",
    "DecoderOption",
    "chosen_decoder",
    "decoder_options",
    "decoder_settings",
    "option",
]

TREE: Final = "entropy-tree"
"""The decoder that is taken when none is named."""
GREEDY: Final = "greedy"
"""The same at a temperature of 0, of which both are the limit."""
CHAINS: Final = "multi-chain"
"""The same for models behind servers."""
TREE_PANEL: Final = "Tree"
"""The group of options of decoders in the help."""
STOPPING_PANEL: Final = "Stopping early"
_SHORT: Final = {"branching": "b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderOption:
    """A field of decoders' settings as an option.

    Attributes:
        field: Its name.
        classes: Those that have it: `Rounds`, `MultiChain` and so on.
        type: int, float, str or bool.
        choices: What a str may be.
        default: Its default, the same in all classes; for the schedule, that of trees without one.
        help: The first sentence of its docstring.
    """

    field: str
    classes: "tuple[type[DecoderSettings], ...]"
    type: type
    choices: tuple[str, ...]
    default: object
    help: str

    @property
    def is_of_trees_alone(self) -> bool:
        """Whether only entropy trees have it."""
        from et_agent.decoding.schedules import EntropyTree

        return all(issubclass(one, EntropyTree) for one in self.classes)

    @property
    def some_schedules(self) -> list[str]:
        """The schedules that have it, if only trees do and not all of them."""
        from et_agent.decoding.schedules import EntropyTree

        having = EntropyTree.schedules_with(self.field)
        return having if self.is_of_trees_alone and len(having) < len(EntropyTree.schedules) else []


def option(field: str) -> str:
    """The option that sets a field."""
    return "--" + _SHORT.get(field, field).replace("_", "-")


@functools.cache
def decoder_options() -> tuple[DecoderOption, ...]:
    """An option for every field of every decoder, the schedule of a tree first."""
    from et_agent.decoding.naming import CLASSES

    classes: dict[str, list[type[DecoderSettings]]] = {}
    for made in CLASSES:
        for field in sorted(made.model_fields, key=lambda field: field != "schedule"):
            classes.setdefault(field, []).append(made)
    return tuple(_option(field, tuple(having)) for field, having in classes.items())


def _option(field: str, classes: "tuple[type[DecoderSettings], ...]") -> DecoderOption:
    fields = [one.model_fields[field] for one in classes]
    annotations = [_without_none(one.annotation) for one in fields]
    choices = [
        choice for one in annotations if get_origin(one) is Literal for choice in get_args(one)
    ]
    first, *_ = re.split(r"(?<=\.)\s", " ".join(str(fields[0].description).split()))
    return DecoderOption(
        field=field,
        classes=classes,
        type=str if choices else annotations[0],
        choices=tuple(dict.fromkeys(choices)),
        default=fields[0].default,
        help=first,
    )


def _without_none(annotation: Any) -> Any:
    if isinstance(annotation, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not type(None))
    return annotation


class DecoderCommand(ShortHelpCommand):
    """A command that has the options of all decoders, before its own option `--seed`.

    `chosen_decoder` says what was given of them.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own parameters and those of decoders."""
        own = super().get_params(ctx)
        at = next((index for index, one in enumerate(own) if one.name == "seed"), 0)
        return [*own[:at], *_parameters(), *own[at:]]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set aside what is given for decoders."""
        rest = super().parse_args(ctx, args)
        given = {one.name: ctx.params.pop(one.name, None) for one in _parameters()}
        ctx.obj = {
            name: value
            for name, value in given.items()
            if value is not None and value is not False  # 0 is given
        }
        return rest


@dataclass(frozen=True, slots=True)
class ChosenDecoder:
    """The decoder of a call.

    Attributes:
        name: Its name on the command line.
        settings: Its settings; None where no option says anything, so that the question decides.
        named: Whether `--decoder` named it.
    """

    name: str
    settings: "DecoderSettings | None"
    named: bool = False

    def of_model(self, *, served: bool) -> "DecoderSettings | None":
        """The same for another model; of settings, those that its decoder has too."""
        from et_agent.decoding import Greedy, MultiChain
        from et_agent.decoding.schedules import EntropyTree

        own = self.settings
        made = MultiChain if served else EntropyTree
        if own is None or isinstance(own, Greedy | made) or (self.named and not served):
            return own
        known = {
            one.field
            for one in decoder_options()
            if any(issubclass(having, made) for having in one.classes)
        }
        return made(**{name: getattr(own, name) for name in own.model_fields_set & known})


def chosen_decoder(
    context: typer.Context,
    name: str | None,
    *,
    served: bool,
    seed: int | None = None,
    attention: bool | None = None,
    preset: Mapping[str, Any] | None = None,
) -> ChosenDecoder:
    """The decoder that the options of a `DecoderCommand` ask for.

    Args:
        context: The call.
        name: What `--decoder` names; None for that of the model.
        served: Whether the model is behind a server.
        seed: What `--seed` says. It is no setting, but has to apply.
        attention: What `--attention` says.
        preset: Settings by field name, which options replace.

    Raises:
        SettingsError: An option is out of range, contradicts another, or does not apply.
    """
    from et_agent.decoding import Greedy

    if seed is not None and seed < 0:
        raise SettingsError(f"--seed is {seed}: use 0 or more")
    given = {**(preset or {}), **(context.obj or {})}
    checked = given if seed is None else {**given, "seed": seed}
    taken = name or (CHAINS if served else TREE)
    settings = decoder_settings(taken, checked, attention=attention is not False)
    named = name is not None
    return ChosenDecoder(
        GREEDY if isinstance(settings, Greedy) else taken,
        settings if named or given else None,
        named,
    )


@functools.cache
def _parameters() -> tuple[Any, ...]:
    """The options of decoders as Typer makes them for a function that takes them."""

    def takes_all(**_: object) -> None:
        """Never called."""

    parameters = list(_signature())
    takes_all.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    takes_all.__annotations__ = {one.name: one.annotation for one in parameters}
    app = typer.Typer(add_completion=False)
    app.command()(takes_all)
    return tuple(get_command(app).params)


def _signature() -> Iterator[inspect.Parameter]:
    from et_agent.decoding.schedules.legacy import FORMER_SETTINGS

    by_field = {one.field: one for one in decoder_options()}
    for one in by_field.values():
        yield _parameter(one.field, one)
    for former, now in FORMER_SETTINGS.items():
        yield _parameter(former, by_field[now], hidden=True)


def _parameter(name: str, one: DecoderOption, *, hidden: bool = False) -> inspect.Parameter:
    flag = one.type is bool
    info = typer.Option(
        option(name),
        help=_help(one),
        metavar="" if flag else "NAME" if one.choices else None,
        show_default=False if flag or one.default is None else _shown(one.default),
        rich_help_panel=_panel(one),
        hidden=hidden,
    )
    annotation = Annotated[bool if flag else one.type | None, info]  # type: ignore[valid-type]
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=False if flag else None,
        annotation=annotation,
    )


def _panel(one: DecoderOption) -> str:
    return STOPPING_PANEL if any(one.field in made.stopping for made in one.classes) else TREE_PANEL


def _help(one: DecoderOption) -> str:
    """What an option does, what it may be, and the schedules that have it unless all do."""
    # On the command line None is an option that is left out.
    text = re.sub(r"`(\w+)`", _as_option, one.help).replace("; None for ", "; by default ")
    text = re.sub(r"; (.*) if None\b", r"; by default \1", text)
    if one.choices:
        *most, last = one.choices
        text = f"{text.removesuffix('.')}: {', '.join(most)} or {last}."
    if one.field == "schedule":
        text = f"{text.removesuffix('.')}; by default the first that has all options given."
    if schedules := one.some_schedules:
        text = f"{', '.join(schedules)}: {text[0].lower()}{text[1:]}"
    return text


def _as_option(name: re.Match[str]) -> str:
    fields = {one.field for one in decoder_options()}
    return option(name[1]) if name[1] in fields else name[1]


def _shown(default: object) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def decoder_settings(
    name: str, given: Mapping[str, Any], *, attention: bool = True
) -> "DecoderSettings":
    """Settings of a decoder from the options that were given, by field name.

    A seed is not a setting, but it too must apply.

    Raises:
        SettingsError: An option is out of range, contradicts another, or does not apply.
    """
    from et_agent.decoding.naming import DECODERS
    from et_agent.decoding.schedules import EntropyTree

    if given.get("temperature") == 0 and name in (TREE, CHAINS):
        name, given = GREEDY, _of_greedy(given)
    if name not in DECODERS:
        raise SettingsError(f"--decoder is {name}: use one of {', '.join(DECODERS)}")
    try:
        given = _renamed(given)
        made = DECODERS[name]
        if made is EntropyTree:
            made = _schedule(given)
            _check_attention(given, attention=attention)
        else:
            _check_applies(name, made, given)
        return made(**{field: value for field, value in given.items() if field != "seed"})
    except SettingsError as error:
        if isinstance(error.__cause__, ValidationError):
            raise SettingsError(_explain(error.__cause__)) from error
        raise


def _of_greedy(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of the options at a temperature of 0, where there is one path."""
    from et_agent.decoding import Greedy

    other = [option(field) for field in given if field not in {*Greedy.model_fields, "seed"}]
    if other:
        raise SettingsError(
            "--temperature 0 takes the most likely tokens, which is one path without forks: leave "
            f"out {', '.join(other)}, or use a temperature above 0"
        )
    return {one: value for one, value in given.items() if one not in ("temperature", "seed")}


def _schedule(given: Mapping[str, Any]) -> "type[DecoderSettings]":
    """The class of the schedule, to which all options must apply."""
    from et_agent.decoding.schedules import EntropyTree

    if given.get("schedule", "") not in ("", *EntropyTree.schedules):
        raise SettingsError(
            f"--schedule is {given['schedule']}: use one of {', '.join(EntropyTree.schedules)}"
        )
    made = EntropyTree.class_for(given)
    for field in given:
        others = EntropyTree.schedules_with(field)
        if field not in made.model_fields and others:
            raise SettingsError(
                f"{option(field)} does not apply to --schedule "
                f"{made.model_fields['schedule'].default}: leave it out, or use --schedule "
                f"{' or '.join(others)}"
            )
    return made


def _check_applies(name: str, made: "type[DecoderSettings]", given: Mapping[str, Any]) -> None:
    from et_agent.decoding import Greedy

    applies = {*made.model_fields, *(() if made is Greedy else ("seed",))}
    inapplicable = [option(field) for field in given if field not in applies]
    if inapplicable:
        raise SettingsError(
            f"{_both(inapplicable)} not apply to --decoder {name}: leave "
            f"{'it' if len(inapplicable) == 1 else 'them'} out, or use --decoder {TREE}"
        )


def _check_attention(given: Mapping[str, Any], *, attention: bool) -> None:
    """Refuse what needs attention where none is read, which settings cannot know."""
    from et_agent.decoding.schedules.forking import ForkingTree

    if attention or given.get("importance") == "none":
        return
    needing = [option(field) for field in ForkingTree.need_attention if field in given]
    if given.get("importance") in ("received", "prompt"):
        needing.append(f"--importance {given['importance']}")
    if needing:
        raise SettingsError(f"{needing[0]} needs attention: leave out --no-attention")


def _renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options in today's spelling."""
    from et_agent.decoding.schedules.legacy import FORMER_SETTINGS, with_new_names

    for former, now in FORMER_SETTINGS.items():
        if former in given and now in given:
            raise SettingsError(
                f"{option(former)} is the old name of {option(now)}, and both are given: leave "
                f"{option(former)} out"
            )
    return with_new_names(given, tell=_tell_deprecated)


def _tell_deprecated(old: str, new: str) -> None:
    tell_deprecated(*(_as_options(one) if "=" in one else option(one) for one in (old, new)))


def _both(options: list[str]) -> str:
    return f"{options[0]} does" if len(options) == 1 else f"{', '.join(options)} do"


def _explain(error: ValidationError) -> str:
    parts = []
    for item in error.errors(include_url=False):
        message = str(item["msg"]).removeprefix("Value error, ")
        if item["loc"]:
            message = message.removeprefix("Input ")
            parts.append(f"{option(str(item['loc'][0]))} is {item['input']}: it {message}")
        else:
            parts.append(_as_options(message))
    return "; ".join(parts)


def _as_options(message: str) -> str:
    """What settings say, with options in place of their names."""
    return with_options(message, {one.field: option(one.field) for one in decoder_options()})
