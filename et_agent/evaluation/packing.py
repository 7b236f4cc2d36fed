"""A finished question as the bytes that a store keeps, so that it can travel and be kept elsewhere."""

import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from et_agent.evaluation.records import QuestionRecord

__all__ = ["PackedQuestion", "unpacked_texts", "unpacked_traces"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedQuestion:
    """A finished question, packed.

    Attributes:
        item: Id of the question.
        record: `QuestionRecord.as_json` as JSON.
        extras: Values of estimators that need the model, by name, as JSON.
        texts: Texts of the leaves, compressed.
        traces: Arrays along the tokens of the tree, compressed.
    """

    item: str
    record: str
    extras: str
    texts: bytes
    traces: bytes

    @classmethod
    def of(
        cls, record: QuestionRecord, texts: Sequence[str], traces: Mapping[str, NDArray[Any]]
    ) -> Self:
        """Pack a question.

        Args:
            record: Its statistics.
            texts: Texts of the leaves.
            traces: Arrays along the tokens of the tree.
        """
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **traces)  # type: ignore[arg-type]
        return cls(
            item=record.item,
            record=json.dumps(record.as_json()),
            extras=json.dumps(dict(record.extras)),
            texts=zlib.compress(json.dumps(list(texts)).encode()),
            traces=buffer.getvalue(),
        )

    def unpacked(self) -> QuestionRecord:
        """The record, without texts and arrays.

        Raises:
            DataError: It cannot be read.
        """
        return QuestionRecord.from_json(json.loads(self.record), json.loads(self.extras))


def unpacked_texts(packed: bytes) -> list[str]:
    """The inverse of `PackedQuestion.texts`."""
    texts: list[str] = json.loads(zlib.decompress(packed))
    return texts


def unpacked_traces(packed: bytes) -> dict[str, NDArray[Any]]:
    """The inverse of `PackedQuestion.traces`."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
