"""Fingerprints by which labels and calibrators find each other."""

import hashlib
import json
from typing import Any

import pytest

from et_agent.calibration.fingerprint import Fingerprint

DECODER = {"name": "entropy-tree", "leaves": 16}


def made(**changes: Any) -> Fingerprint:
    told = {"text": "Say it."}
    return Fingerprint.of(
        model="f" * 64, decoder=DECODER, instructions=told, chat="model", **changes
    )


def test_labels_of_earlier_versions_are_known_again() -> None:
    now = made()
    later = {"informed", "begun", "passages", "max_thinking_tokens", "same"}
    text = json.dumps(now.model_dump(mode="json", exclude=later), sort_keys=True)
    assert now.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"informed": True},
        {"begun": True},
        {"passages": True},
        {"max_thinking_tokens": 64},
        {"same": "tests"},
    ],
)
def test_what_earlier_versions_did_not_know_tells_apart(changes: dict[str, Any]) -> None:
    assert made(**changes).digest != made().digest


def test_it_holds_later_in_a_conversation() -> None:
    alone, later = made(), made(single=False)
    assert alone.problems(later) == later.problems(alone) == []
    assert alone.joined(later) == alone
    assert alone.digest != later.digest, "labels of other conversations are other labels"


def test_what_follows_from_passages_is_not_told_beside_them() -> None:
    plain, about = made(), made(passages=True, same="tests")
    about = about.model_copy(update={"instructions": {"text": "From these."}, "leaves": (8, 8)})
    assert plain.problems(about) == ["answers from passages"]
    assert about.problems(plain) == ["no passages to answer from"]


def test_what_tools_replied_is_another_thing() -> None:
    told = "replies of tools or later system messages"
    assert made().problems(made(informed=True)) == [told]
    assert made(informed=True).problems(made(single=False)) == [
        "no replies of tools and no later system messages"
    ]


def test_it_is_as_one_that_covers_the_same() -> None:
    assert made().is_as(made(single=False))
    assert not made().is_as(made(begun=True))


def test_a_reply_that_the_caller_began_is_another_thing() -> None:
    assert made().problems(made(begun=True)) == ["a given beginning of the reply"]
    assert made(begun=True).problems(made()) == ["no given beginning of the reply"]


def test_what_earlier_versions_wrote_of_conversations_is_read() -> None:
    written = made(single=False).model_dump(mode="json", exclude={"begun"})
    assert Fingerprint.model_validate(written).problems(made()) == []
