"""Which of twelve languages a text is in: by its script, or by the small words of Latin ones."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

__all__ = ["LANGUAGES", "language_of", "small_words"]

LANGUAGES: Final = ("en", "de", "fr", "es", "it", "pt", "zh", "ja", "ko", "ar", "hi", "ru")
"""Languages whose numbers, dates, cues and yes and no are read, by ISO 639 code."""

_SMALL_WORDS: Final = {
    "en": "the of and is are was what how many much in to for which who when where does did it "
    "that answer each with have has if there a an i he she on at be by from you as or not can do",
    "de": "der die das und ist sind war was wie viel viele wieviel ein eine im in zu für welche "
    "welcher welches wer wann wo hat es dass antwort jeder mit von den wenn nicht beträgt auf",
    "fr": "le la les et est sont était que quel quelle quels quelles combien un une dans de du des "
    "pour qui quand où a il elle réponse chaque avec si ne pas au sur",
    "es": "el la los las y es son era qué cuál cuáles cuánto cuánta cuántos cuántas un una en de "
    "del para quién cuándo dónde tiene hay respuesta cada con si no al por más",
    "it": "il lo la gli le e è sono era che ora cosa quale quali quanto quanta quanti quante un una in "
    "di del della per chi quando dove ha risposta ogni con se non al nel",
    "pt": "o a os as e é são era que qual quais quanto quanta quantos quantas um uma em de do da "
    "para quem quando onde tem há resposta cada com se não ao no na por",
}
_WORDS_OF: Final = {name: frozenset(words.split()) for name, words in _SMALL_WORDS.items()}
_WORD: Final = re.compile(r"[^\W\d_]+")
_SCRIPTS: Final = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ar", re.compile("[\u0620-\u064a]")),
    ("hi", re.compile("[\u0904-\u0939]")),
    ("ru", re.compile("[\u0410-\u044f]")),
)
_MOST_CHARACTERS: Final = 2000
_SHARE_OF_SCRIPT: Final = 0.2
"""A name in Chinese does not make an English question Chinese."""


@lru_cache(maxsize=256)
def language_of(text: str) -> str:
    """Return the language of a text, one of `LANGUAGES`; English where nothing tells.

    A script that one language of the twelve has decides if a fifth of the letters are of it. Else the
    Latin language wins whose small words are most, English among equals.
    """
    beginning = text[:_MOST_CHARACTERS]
    if not beginning.isascii():
        beginning = unicodedata.normalize("NFC", beginning)
        letters = sum(map(str.isalpha, beginning)) or 1
        for name, script in _SCRIPTS:
            # A Japanese text is half Chinese characters, which its kana tell apart.
            if len(script.findall(beginning)) >= _SHARE_OF_SCRIPT * letters:
                return name
    words = _WORD.findall(beginning.casefold())
    counts = {name: sum(word in known for word in words) for name, known in _WORDS_OF.items()}
    return max(counts, key=lambda name: counts[name])


def small_words(language: str) -> frozenset[str]:
    """Words of a language that say nothing by themselves; none for those of other scripts."""
    return _WORDS_OF.get(language, frozenset())
