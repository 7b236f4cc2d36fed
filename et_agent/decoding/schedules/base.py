"""The entropy tree's settings: what its schedules have in common, and which class has which."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, Unpack, cast, get_args

from pydantic import BaseModel, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, core_schema

from et_agent.decoding.base import DecoderSettings, Run, RunInputs
from et_agent.decoding.schedules.keywords import Schedule, TreeKeywords
from et_agent.decoding.schedules.legacy import FORMER_SETTINGS, with_new_names
from et_agent.errors import SettingsError
from et_agent.renaming import warn_of_old_name

__all__ = ["EntropyTree"]

# From the warning through `with_new_names`, a validator and three `__init__` to the first's caller.
_CALLER: Final = 8


def _warn_caller(old: str, new: str) -> None:
    warn_of_old_name(old, new, stacklevel=_CALLER)


def _is_schedule(cls: type[DecoderSettings]) -> bool:
    return "schedule" in cls.model_fields


class EntropyTree(DecoderSettings):
    """A tree of reasoning paths that forks where token entropy is high (arXiv 2601.15296).

    A schedule decides when to fork. Each one has a class of its own with only its settings.
    `schedule` selects the class, here and wherever pydantic reads plain data:
    `EntropyTree(schedule="online", gap=8)` is an `Online`. If none is named, the first schedule of
    this list is taken that has all settings that are given: `EntropyTree(leaves=8)` is an
    `Overlapped`, `EntropyTree(stop_above=0.6)` a `Rounds`. Biases are measured in
    `benchmarks/results/bias.json`:

    - `overlapped` (default): stratified roots, each of which is forked as soon as it ends, while
      others still run. A tree takes few more steps than its longest path has tokens. Slightly
      biased, since the position of a fork depends on what came after it: the mean of p(a|x) is off
      by 0.003 or less on two scripted models and by 0.028 on the third.
    - `rounds`: stratified roots, then rounds of forks at the best positions of finished chains. May
      stop early. Slightly biased too: 0.006 or less, and 0.028.
    - `online`: forks are made while their token is decoded and depend on nothing later. Unbiased.
    - `stratified`: exact samples, spread evenly by arithmetic sampling (arXiv 2210.15458). Shared
      beginnings are decoded once. Unbiased.
    - `breadth_first`: as published, one chain that is forked level by level. It is off by 0.009 or
      less with tau fixed beforehand, and by 0.02 to 0.18 if tau is a percentile of the question's
      own tokens. Its standard deviation is 1.2 to 1.6 times that of `rounds`, since one root decides
      everything.

    Leaves must be weighted: plain counts are off by up to 0.5 on the same models.

    Raises:
        SettingsError: A setting is unknown, out of range, contradicts another one, or belongs to
            another schedule.
    """

    schedules: ClassVar[dict[str, type["EntropyTree"]]] = {}
    """The class of each schedule."""

    leaves: int = Field(default=16, ge=1, le=256)
    """Largest number of leaves; there are fewer if the model is sure everywhere."""

    def __new__(cls, **settings: object) -> Self:
        """An instance of the schedule's class."""
        return super().__new__(cls if _is_schedule(cls) else cls.class_for(settings))

    def __init__(self, **settings: Unpack[TreeKeywords]) -> None:
        """Check the settings, which are those of the schedule's class."""
        super().__init__(**settings)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """A class with a schedule that no other class has stands for it."""
        if _is_schedule(cls):
            cls.schedules.setdefault(cls.model_fields["schedule"].default, cls)

    @classmethod
    def class_for(cls, settings: Mapping[str, object]) -> type[Self]:
        """The class of the schedule that settings name or, without a name, of the first that has all.

        The order is that of `Schedule`. If no schedule has all settings, the first with the most of
        them is taken, which refuses the others. What values they have does not matter.

        Raises:
            SettingsError: The class has no such schedule, or none at all.
        """
        ours = {name: one for name, one in cls.schedules.items() if issubclass(one, cls)}
        if not ours:
            classes = ", ".join(one.__name__ for one in cls.schedules.values())
            raise SettingsError(
                f"{cls.__name__} has no schedule of its own: derive it from one of {classes}"
            )
        if "schedule" not in settings:
            given = {FORMER_SETTINGS.get(name, name) for name in settings}
            ordered = [ours[name] for name in (*get_args(Schedule), *ours) if name in ours]
            return max(ordered, key=lambda one: len(given & one.model_fields.keys()))
        named = settings["schedule"]
        if str(named) not in ours:
            raise SettingsError(
                f"{cls.__name__} settings: schedule is {named!r}: use one of {', '.join(ours)}"
            )
        return ours[str(named)]

    @classmethod
    def schedules_with(cls, setting: str) -> list[str]:
        """Names of the schedules that have a setting."""
        return [name for name, one in cls.schedules.items() if setting in one.model_fields]

    @model_validator(mode="before")
    @classmethod
    def _check_own(cls, given: object) -> object:
        if not isinstance(given, Mapping):
            return given
        settings = with_new_names(given, tell=_warn_caller)
        for name in settings:
            if name not in cls.model_fields and (others := cls.schedules_with(name)):
                wanted = " or ".join(f"schedule={one!r}" for one in others)
                raise ValueError(
                    f"{name} does nothing with schedule={cls.model_fields['schedule'].default!r}: "
                    f"leave it out, or set {wanted}"
                )
        return settings

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """That of a schedule's class, or of the union of all."""
        kinds = {name: one for name, one in cls.schedules.items() if issubclass(one, cls)}
        if _is_schedule(cls) or not kinds:
            return handler(source)
        schemas = {name: handler.generate_schema(one) for name, one in kinds.items()}
        return core_schema.tagged_union_schema(schemas, discriminator=cls._schedule_of)

    @classmethod
    def _schedule_of(cls, given: Any) -> Any:
        """The schedule that plain data or an instance has."""
        if not isinstance(given, Mapping):
            return getattr(given, "schedule", None)
        if "schedule" in given:
            return given["schedule"]
        return cls.class_for(given).model_fields["schedule"].default

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with changes, which may name another schedule.

        As with every pydantic model, changes are not checked while the schedule stays. With another
        schedule those settings that were given are kept that it has too. If none was named and the
        changes have a setting of another schedule, the copy is the tree of all settings that were
        given.

        Raises:
            SettingsError: The schedule does not allow the changes.
        """
        changes = with_new_names(
            update or {}, tell=lambda old, new: warn_of_old_name(old, new, stacklevel=5)
        )
        fields = type(self).model_fields
        own = fields["schedule"].default
        if changes.get("schedule", own) == own and changes.keys() <= fields.keys():
            return super().model_copy(update=changes, deep=deep)
        kept: set[str] = self.model_fields_set
        if "schedule" in changes:
            kept = kept & EntropyTree.class_for(changes).model_fields.keys()
        settings: Any = {**{name: getattr(self, name) for name in kept}, **changes}
        return cast("Self", EntropyTree(**settings))

    def __repr_name__(self) -> str:
        """The constructor that users know, for all schedules."""
        ours = type(self) in self.schedules.values()
        return EntropyTree.__name__ if ours else super().__repr_name__()

    if not TYPE_CHECKING:  # or any attribute would pass for one

        def __getattr__(self, name: str) -> object:
            """What settings were called before, when every schedule had those of all."""
            if name not in FORMER_SETTINGS:
                return super().__getattr__(name)
            now = FORMER_SETTINGS[name]
            warn_of_old_name(name, now)
            having = self.schedules[self.schedules_with(now)[0]]
            return getattr(self, now, having.model_fields[now].default)

    @property
    def least_leaves(self) -> int:
        """The fewest leaves at which it may stop early; `leaves` where it never does."""
        return self.leaves

    def check_thoughts(self, inputs: RunInputs) -> None:
        """Refuse settings about thoughts where nothing is thought.

        Raises:
            SettingsError: One is set, and the model does not think before this answer.
        """
        thoughts = inputs.thoughts
        if thoughts is not None and thoughts.state != "closed":
            return
        for name in ("answers_per_thought", "fork_in"):
            if name in type(self).model_fields:
                value = getattr(self, name)
                if value != type(self).model_fields[name].default:
                    raise SettingsError(
                        f"{name}={value!r} is for models that think before they answer, and this one "
                        "does not: leave it out, or have it think (thinking='on')"
                    )

    def start(self, inputs: RunInputs) -> Run:
        """Begin decoding one question.

        Raises:
            SettingsError: The schedule needs a pilot of this model, and there is none.
        """
        raise NotImplementedError  # pragma: no cover
