"""Conversations of `et-agent chat` in files of the user's own, one JSON document each."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from et_agent.cli.terminal import say
from et_agent.errors import StoreError
from et_agent.results import AskResult
from et_agent.storage import (
    alone_with,
    cache_dir,
    data_dir,
    read_regular,
    sealed,
    unsealed,
    user_path,
    write_atomically,
)
from et_agent.templates.messages import Message
from et_agent.validation import Frozen, explained, parsed_json
from et_agent.wording import counted

__all__ = ["Chat", "Turn", "chats_folder", "find_chat", "new_chat", "saved_chats"]

_MOST_BYTES: Final = 1 << 27
_TITLE: Final = 40
_TURNS: Final = ', "turns": ['


class Turn(Frozen):
    """A question and the reply to it."""

    question: str
    """What was asked."""
    reply: str
    """What the model is shown as its reply: the text of the heaviest path with the answer."""
    result: AskResult
    """The answer and what was measured; without the tree in a file."""
    right: bool | None = None
    """Whether a person said that it is right; None if nobody said."""


class Chat(Frozen):
    """A conversation.

    Its file is written anew with every turn.
    """

    name: str
    """Name of its file without the ending."""
    model: str
    """The model that it was last held with, as `--model` takes it."""
    system: str | None = None
    """The system prompt; None for the default of each kind of answer."""
    turns: tuple[Turn, ...] = Field(default=())
    """What was said."""

    def asked(self, question: str) -> list[Message]:
        """The messages with another question at the end."""
        messages: list[Message] = []
        for turn in self.turns:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.reply})
        return [*messages, {"role": "user", "content": question}]

    @property
    def last(self) -> Turn | None:
        """The last turn; None before the first."""
        return self.turns[-1] if self.turns else None

    def with_last(self, turn: Turn) -> "Chat":
        """With another last turn."""
        return self.model_copy(update={"turns": (*self.turns[:-1], turn)})

    def save(self) -> Path:
        """Write it to its file, which only this user may read; gives the path.

        Raises:
            StoreError: It cannot be written.
        """
        path = chats_folder() / f"{self.name}.json"
        head = _sealed(self, {"turns"}).removesuffix("}")
        # A line for each turn: a damaged one hides no other.
        turns = ",\n".join(_sealed(one, {"result": {"tree"}}) for one in self.turns)
        try:
            write_atomically(path, f"{head}{_TURNS}\n{turns}\n]}}\n", private=True)
        except OSError as error:
            raise StoreError(
                f"the conversation cannot be kept in {path}: {error.strerror or error}. Mend its "
                "permissions, or use --no-save"
            ) from error
        return path

    def alone(self) -> AbstractContextManager[None]:
        """Keep other processes from going on with it meanwhile.

        Raises:
            StoreError: One does, or the folder cannot be written.
        """
        return alone_with(chats_folder() / f"{self.name}.json", StoreError)


def chats_folder() -> Path:
    """Where conversations are kept."""
    return (cache_dir() if os.environ.get("ET_AGENT_CACHE") else data_dir()) / "chats"


def new_chat(model: str, system: str | None, question: str = "") -> Chat:
    """A conversation that begins now, named by the time and by its first question."""
    words = re.sub(r"[^a-z0-9]+", "-", question.lower()).strip("-")[:_TITLE].rstrip("-")
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return Chat(name=_free(f"{now}-{words}" if words else now), model=model, system=system)


def _free(name: str) -> str:
    """A name like this that no conversation has."""
    taken = {path.stem for path in _files()}
    numbered = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(one for one in numbered if one not in taken)


def saved_chats() -> Iterator[Chat]:
    """All conversations that can be read, the latest first."""
    for path in _files():
        try:
            yield _read(path)[0]
        except StoreError:
            continue


def find_chat(name: str) -> Chat:
    """A conversation by its name, by a beginning of it, or the path of its file; "" for the latest.

    Raises:
        StoreError: There is none, there are several, or the file cannot be read.
    """
    files = _files()
    if not name and files:
        return _opened(files[0])
    path = user_path(name)
    if name and path.is_file():
        return _opened(path)
    found = [one for one in files if one.stem == name] or [
        one for one in files if name and one.stem.startswith(name)
    ]
    if len(found) == 1:
        return _opened(found[0])
    if found:
        names = ", ".join(one.stem for one in found)
        raise StoreError(f"{name!r} begins several conversations: use a longer part of {names}")
    raise StoreError(
        f"there is no conversation {name!r} in {chats_folder()}: see `et-agent chat --list`"
        if files
        else f"there is no conversation in {chats_folder()} yet: begin one with `et-agent chat`"
    )


def _files() -> list[Path]:
    """Files of conversations, the one that was written last first."""
    try:
        found = [one for one in chats_folder().iterdir() if one.suffix == ".json"]
        return sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)
    except OSError:
        return []


def _opened(path: Path) -> Chat:
    """A conversation to go on with; of a damaged one its sound turns, under another name."""
    found, is_whole = _read(path)
    if is_whole:
        return found
    made = found.model_copy(update={"name": _free(found.name)})
    say(
        f"{path} is damaged after {counted(len(made.turns), 'turn')}: the conversation goes on as "
        f"{made.name}, and the file stays as it is"
    )
    return made


def _read(path: Path) -> tuple[Chat, bool]:
    """The sound turns of a conversation, and whether these are all."""
    try:
        content = read_regular(path, most=_MOST_BYTES)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        values = parsed_json(content)
        turns = [unsealed(one) for one in values.pop("turns", ())]
        return Chat.model_validate({**unsealed(values), "turns": turns}), True
    except (ValueError, AttributeError, TypeError) as error:
        found = _sound_part(content)
        if found is None:
            said = explained("it", error) if isinstance(error, ValidationError) else str(error)
            raise StoreError(
                f"{path} is no conversation of `et-agent chat`: {said[:200]}"
            ) from error
        return found, False


def _sound_part(content: bytes) -> Chat | None:
    """The turns before the first that is damaged; None if there are none."""
    head, *lines = content.split(b"\n")
    turns = []
    for line in lines:
        try:
            turns.append(Turn.model_validate(unsealed(parsed_json(line.removesuffix(b",")))))
        except (ValueError, AttributeError, TypeError):
            break
    try:
        values = parsed_json(head.removesuffix(_TURNS.encode()) + b"}")
        return Chat.model_validate({**unsealed(values), "turns": turns}) if turns else None
    except (ValueError, TypeError):
        return None


def _sealed(record: Frozen, without: Any) -> str:
    return json.dumps(sealed(json.loads(record.model_dump_json(exclude=without))))
