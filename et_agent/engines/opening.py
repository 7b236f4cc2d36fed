"""A model by how it is named: a file in this process, or one behind a server."""

from typing import Any

from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.weights.addresses import is_address, shown_address

__all__ = ["needing_logits", "open_model"]


def open_model(spec: str, **options: Any) -> AnyModel:
    """Load a model, or connect to its server.

    Args:
        spec: As for `et_agent.load_model`, or the address of a server with OpenAI's interface up to and
            with `/v1`, and `#NAME` behind it if it has several models.
        options: Arguments of `load_model`; none of them is for servers.

    Raises:
        SettingsError: There are options for a server.
        ServerError: The server cannot be reached or refuses the key.
        ModelError: As for `load_model`.
    """
    if not is_address(spec):
        # Imported here, so that a server needs no llama.cpp.
        from et_agent.engines.loading import load_model

        return load_model(spec, **options)
    if options:
        raise SettingsError(
            f"{', '.join(sorted(options))} are for models in this process, and "
            f"{shown_address(spec)} is a server's address: leave them out, and set them where "
            "the server is started"
        )
    from et_agent.engines.openai_compatible import OpenAICompatibleModel

    return OpenAICompatibleModel(spec)


def needing_logits(model: AnyModel, what: str) -> LanguageModel:
    """The model, if it gives logits.

    Args:
        model: A model.
        what: What needs them, for the error.

    Raises:
        UnsupportedModelError: It does not.
    """
    if isinstance(model, LanguageModel):
        return model
    raise UnsupportedModelError(
        f"{what} needs logits, and {model.info.name} is behind a server that gives whole replies: use "
        "a model in this process, such as a GGUF file"
    )
