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
    later = {"passages", "max_thinking_tokens", "same"}
    text = json.dumps(now.model_dump(mode="json", exclude=later), sort_keys=True)
    assert now.digest == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes", [{"passages": True}, {"max_thinking_tokens": 64}, {"same": "tests"}]
)
def test_what_earlier_versions_did_not_know_tells_apart(changes: dict[str, Any]) -> None:
    assert made(**changes).digest != made().digest
