"""From the options of `ask` to a decoder's settings; what does not apply is an error."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from et_agent.errors import SettingsError

if TYPE_CHECKING:
    from et_agent.decoding.base import DecoderSettings

__all__ = ["DecoderName", "ImportanceName", "ScheduleName", "ValueName", "decoder_settings"]


class DecoderName(StrEnum):
    """Decoders by their names on the command line."""

    ENTROPY_TREE = "entropy-tree"
    MULTI_CHAIN = "multi-chain"
    GREEDY = "greedy"


class ScheduleName(StrEnum):
    """Schedules of the entropy tree, as `et_agent.decoding.entropy_tree.Schedule`."""

    ROUNDS = "rounds"
    ONLINE = "online"
    STRATIFIED = "stratified"
    BREADTH_FIRST = "breadth_first"


class ImportanceName(StrEnum):
    """Attention filters, as `et_agent.decoding.entropy_tree.Importance`."""

    AUTO = "auto"
    NONE = "none"
    RECEIVED = "received"
    PROMPT = "prompt"


class ValueName(StrEnum):
    """Rankings of positions, as `et_agent.decoding.entropy_tree.ForkValue`."""

    WORTH = "worth"
    ENTROPY = "entropy"
    MASS = "mass"
    MASS_PER_TOKEN = "mass_per_token"
    PARTING = "parting"


_FORKING: Final = frozenset(set(ScheduleName) - {ScheduleName.STRATIFIED})
_ROUNDS: Final = frozenset({ScheduleName.ROUNDS})
_SCHEDULES_OF: Final[Mapping[str, frozenset[ScheduleName]]] = {
    "roots": frozenset({ScheduleName.ROUNDS, ScheduleName.ONLINE}),
    "branching": _FORKING,
    "tau": _FORKING,
    "percentile": _FORKING,
    "importance": _FORKING,
    "delta": _FORKING,
    "importance_percentile": _FORKING,
    "exchangeable": _FORKING,
    "value": _ROUNDS,
    "least_worth": _ROUNDS,
    "settle": _ROUNDS,
    "give_up": _ROUNDS,
    "wave": _ROUNDS,
    "gap": frozenset({ScheduleName.ONLINE}),
}
_FIELDS_OF: Final[Mapping[DecoderName, frozenset[str]]] = {
    DecoderName.MULTI_CHAIN: frozenset({"leaves", "temperature", "max_tokens", "seed"}),
    DecoderName.GREEDY: frozenset({"temperature", "max_tokens"}),
}
_RIVALS: Final = (("tau", "percentile"), ("delta", "importance_percentile"))
_NEEDS_ATTENTION: Final = ("delta", "importance_percentile")


def option(field: str) -> str:
    """The option that sets a field."""
    return "--b" if field == "branching" else "--" + field.replace("_", "-")


def decoder_settings(
    name: DecoderName, given: Mapping[str, Any], *, attention: bool = True
) -> "DecoderSettings":
    """Settings of a decoder from the options that were given, by field name.

    A seed is no setting, but it too must apply.

    Raises:
        SettingsError: An option is out of range, contradicts another, or does not apply.
    """
    from et_agent.decoding.naming import DECODERS

    for one, other in _RIVALS:
        if one in given and other in given:
            raise SettingsError(f"{option(one)} and {option(other)} say the same: give one of them")
    if name is DecoderName.ENTROPY_TREE:
        _check_tree(given, attention=attention)
    else:
        _check_applies(name, given)
    try:
        return DECODERS[name](
            **{
                field: str(value) if isinstance(value, StrEnum) else value
                for field, value in given.items()
                if field != "seed"
            }
        )
    except SettingsError as error:
        if isinstance(error.__cause__, ValidationError):
            raise SettingsError(_explain(error.__cause__)) from error
        raise


def _check_applies(name: DecoderName, given: Mapping[str, Any]) -> None:
    strangers = [option(field) for field in given if field not in _FIELDS_OF[name]]
    if strangers:
        raise SettingsError(
            f"{_both(strangers)} not apply to --decoder {name}: leave out, or use --decoder "
            f"{DecoderName.ENTROPY_TREE}"
        )


def _check_tree(given: Mapping[str, Any], *, attention: bool) -> None:
    schedule = ScheduleName(given.get("schedule", ScheduleName.ROUNDS))
    for field in given:
        fitting = _SCHEDULES_OF.get(field)
        if fitting is not None and schedule not in fitting:
            raise SettingsError(
                f"{option(field)} does not apply to --schedule {schedule}: leave it out, or use "
                f"--schedule {' or '.join(s for s in ScheduleName if s in fitting)}"
            )
    if "least_worth" in given and given.get("value", ValueName.WORTH) != ValueName.WORTH:
        raise SettingsError(f"--least-worth does not apply to --value {given['value']}")
    importance = given.get("importance", ImportanceName.AUTO)
    by_worth = (
        schedule is ScheduleName.ROUNDS and given.get("value", ValueName.WORTH) == ValueName.WORTH
    )
    for field in _NEEDS_ATTENTION:
        if field in given and importance == ImportanceName.NONE:
            raise SettingsError(f"{option(field)} does not apply to --importance none")
        if field in given and not attention:
            raise SettingsError(f"{option(field)} needs attention: leave out --no-attention")
        if field in given and by_worth and importance == ImportanceName.AUTO:
            raise SettingsError(
                f"{option(field)} does not apply to --value worth by itself: add --importance received"
            )
    if not attention and importance in {ImportanceName.RECEIVED, ImportanceName.PROMPT}:
        raise SettingsError(f"--importance {importance} needs attention: leave out --no-attention")


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
            parts.append(message)
    return "; ".join(parts)
