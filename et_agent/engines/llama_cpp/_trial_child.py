"""The child process of a trial: load a model, decode a few tokens, end with code 0."""

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from et_agent.engines.base import Batch
from et_agent.engines.llama_cpp.devices import Placement
from et_agent.engines.llama_cpp.model import LlamaCppModel


def main(path: str, given: str) -> None:
    """Decode one token alone and many together: they take different code in llama.cpp."""
    settings = json.loads(given)
    repack = settings.pop("repack")
    placement = Placement(**settings)
    with LlamaCppModel(
        Path(path), context=256, max_sequences=4, placement=placement, repack=repack
    ) as model:
        for size in (1, 48):
            batch = Batch(
                tokens=np.arange(size, dtype=np.int32) % model.info.vocabulary,
                positions=np.arange(size, dtype=np.int32),
                sequences=np.full(size, size % 4, dtype=np.int32),
                outputs=np.arange(size) == size - 1,
            )
            model.submit(partial(model.decode, batch)).result()


if __name__ == "__main__":
    main(*sys.argv[1:3])
