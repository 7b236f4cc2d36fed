"""What the runnables have in common: settings that are checked, frozen, and changed for one call."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from langchain_core.runnables import RunnableSerializable
from langchain_core.runnables.utils import Input, Output
from pydantic import ConfigDict, ValidationError

from et_agent.errors import SettingsError
from et_agent.validation import explained

__all__ = ["SettingsRunnable"]

T = TypeVar("T")


class SettingsRunnable(RunnableSerializable[Input, Output]):
    """A runnable whose fields are settings; nothing else in it changes, so runs may share it."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __init__(self, **values: Any) -> None:
        """Check the settings.

        Raises:
            SettingsError: A setting is unknown, out of range, or contradicts another one.
        """
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(explained(type(self).__name__, error)) from error

    def settings(self) -> dict[str, Any]:
        """The fields as they are, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same with other settings.

        Raises:
            SettingsError: See the constructor.
        """
        return type(self)(**{**self.settings(), **changes}) if changes else self

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether `langchain_core.load` may write and read it: yes."""
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """The public module, whatever file the class is in."""
        return ["et_agent", "runnables"]

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self._picklable())

    def _picklable(self) -> dict[str, Any]:
        """The fields as another process can have them.

        Raises:
            SettingsError: One belongs to this process.
        """
        return self.settings()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that shares models and gates, as `copy` gives it."""
        return self.model_copy()


def _restored(cls: type[T], values: dict[str, Any]) -> T:
    return cls(**values)
