"""What a worker is told and what it says. Read in every system's own python: standard library only."""

from dataclasses import dataclass, field

TEMPERATURE = 0.7
UNCUT = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""llama.cpp's cuts of the distribution, turned off."""


@dataclass(frozen=True)
class Job:
    """One system's work on some questions."""

    system: str
    batches: list[list[str]]
    """Questions that are asked at once: one in each batch, or all in one."""
    instruction: str
    samples: int
    max_tokens: int
    seed: int
    uncut: bool
    """Whether peers sample from the whole distribution, as et-agent does."""
    threads: int
    model: str
    packages: list[str]
    """Whose versions the worker tells."""
    url: str = ""
    """Of the server that the system asks, if it asks one."""

    def messages(self, question: str) -> list[dict[str, str]]:
        """The chat of a question."""
        return [
            {"role": "system", "content": self.instruction},
            {"role": "user", "content": question},
        ]


@dataclass(frozen=True)
class Text:
    """One reply of a model; `finished` is False if the token limit cut it off."""

    text: str
    finished: bool = True


@dataclass(frozen=True)
class Reply:
    """What a system says to a question: an answer of its own, or texts for et-agent's reader."""

    texts: list[Text] = field(default_factory=list)
    """All samples if the system leaves the vote to its user; the one reply if it chose one."""
    answer: str | None = None
    share: float | None = None
    confidence: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    """The system's other confidences, larger where it is surer."""
    tokens: int = 0
    """Left at 0 by systems that ask a server: the server counts."""
    library: str = ""
    """What decoded, if the system says so."""
