"""The kind `quantity`: a number with its unit, compared in base units."""

# Other scripts are what this reads.
# ruff: noqa: RUF001

import re
import time
from collections.abc import Hashable, Sequence
from fractions import Fraction
from typing import Final

from et_agent.answers.finders import Found
from et_agent.answers.kinds.base import Kind, Reading, Suggestion
from et_agent.answers.number import display_number
from et_agent.answers.quantity import (
    Quantity,
    asked_unit,
    endings,
    quantity_in_prose,
    quantity_in_value,
)
from et_agent.answers.text import readable
from et_agent.answers.worker import MathWorker

__all__ = ["QUANTITY"]

_ASKED: Final = re.compile(
    r"\b(?:(?:with|include|including|state|give|specify)(?: \w+){0,2} units?|in what units?|"
    r"what is the (?:[\w-]+ ){0,2}(?:speed|velocity|mass|weight|height|length|distance|depth|"
    r"width|boiling point|"
    r"melting point|temperature|density|diameter|radius|wavelength|frequency|power|energy|"
    r"pressure) of|"
    r"how (?:tall|high|heavy|deep|long|far|fast|wide|hot|cold) (?:is|are|was|does|do|can)|"
    r"mit einheit|wie (?:hoch|schwer|tief|lang|weit|schnell|groß|breit) (?:ist|sind|war)|"
    r"avec (?:l'|son )?unité|quelle est la (?:vitesse|masse|hauteur|longueur|distance|"
    r"température|profondeur) d|"
    r"con (?:la |su )?unidad|cuál es la (?:velocidad|masa|altura|longitud|distancia|temperatura|"
    r"profundidad) d|"
    r"con (?:l'|la sua )?unità|qual è la (?:velocità|massa|distanza|temperatura|profondità) d|"
    r"quanto (?:è|sono) (?:alt|lung|pesant|lontan|profond)[oaie]|"
    r"com (?:a )?unidade|qual é a (?:velocidade|massa|altura|distância|temperatura|profundidade) d)"
    r"|с единиц|какова (?:скорость|масса|высота|длина|температура|глубина)|какое расстояние"
    r"|多高|多长|多远|多重|多深|多快|高さは|長さは|距離は|重さは|速さは|높이는|길이는|거리는|"
    r"무게는|속도는"
    r"|ما (?:هي |هو )?(?:سرعة|ارتفاع|طول|كتلة|وزن|المسافة|مسافة|درجة حرارة)|की (?:ऊंचाई|ऊँचाई|"
    r"लंबाई|गति|दूरी)|कितना (?:ऊंचा|लंबा|भारी|दूर)",
    re.IGNORECASE,
)
_MOST_FIGURES: Final = 0
_MOST_CHARACTERS: Final = 160
_FIGURES: Final = re.compile(r"\d+")


class _Quantity(Kind):
    instruction = "Reason step by step, and put the final number with its unit in \\boxed{}."
    noun = "numbers with units"

    def suggestion(self, question: str) -> Suggestion | None:
        """A measure is asked for, in no unit that the question names, and not to be calculated."""
        found = _ASKED.search(question)
        told = found is not None and "unit" in found.group().casefold()
        if found is None:
            return None
        # A longer question with figures is to be calculated, and its numbers tell the unit.
        figures = len(_FIGURES.findall(question)) > _MOST_FIGURES
        if not told and (figures or len(question) > _MOST_CHARACTERS):
            return None
        if not told and asked_unit(question) is not None:
            return None
        return Suggestion(32, f'The question says "{found.group()}".')

    def rank(self, content: str, question: str) -> int | None:
        """A number with a known unit, where the question does not name the unit to answer in."""
        found = quantity_in_value(content, question)
        if found is None or not found.unit or found.unit.startswith("noun:"):
            return None
        if found.unit.startswith("currency:") or found.unit == "percent":
            return 12 if _ASKED.search(question) else None
        return None if asked_unit(question) is not None and not found.is_compound else 8

    def read(self, found: Found, question: str) -> Reading | None:
        """The quantity of a box or of a sentence; a bare number is in the unit that is asked for."""
        if found.found_by == "boxed":
            amount = quantity_in_value(found.content, question)
            shown = readable(found.content)
        else:
            first = found.found_by == "answer is"
            whole = quantity_in_value(readable(found.content), question)
            amount = whole or quantity_in_prose(found.content, question, prefer_first=first)
            shown = "" if whole is None else readable(found.content)
            if not shown and amount is not None and amount.is_compound:
                parts = (readable(one) for one in endings(found.content))
                shown = next(
                    (one for one in parts if quantity_in_value(one, question) == amount), ""
                )
        if amount is None:
            return None
        wanted = asked_unit(question)
        if not amount.unit and wanted is not None:
            amount = Quantity(amount.number, wanted)
        return Reading(shown or _shown(amount), ("quantity", amount.number, amount.unit))

    def representatives(
        self, keys: Sequence[Hashable], worker: MathWorker | None, seconds: float
    ) -> dict[Hashable, Hashable]:
        """Compare in base units; a bare number joins the one class in which it is written so.

        Where no class or several have its number, it is a class of its own: "5" does not join "5 km"
        to "5 m".
        """
        del worker
        deadline = time.monotonic() + seconds
        first: dict[Hashable, Hashable] = {}
        written: dict[Fraction, set[Hashable]] = {}
        representative: dict[Hashable, Hashable] = {}
        for key in sorted(keys, key=str):
            _, number, unit = _parts(key)
            if unit and time.monotonic() < deadline:
                representative[key] = first.setdefault(Quantity(number, unit).base, key)
                written.setdefault(number, set()).add(representative[key])
        for key in keys:
            _, number, unit = _parts(key)
            homes = () if unit else tuple(written.get(number, ()))
            representative.setdefault(key, homes[0] if len(homes) == 1 else key)
        return representative


def _parts(key: Hashable) -> tuple[str, Fraction, str]:
    assert isinstance(key, tuple)
    tag, number, unit = key
    return tag, number, unit


_SIGNS: Final = {
    "percent": "%", "kilometer/hour": "km/h", "mile/hour": "mph", "degC": "°C", "degF": "°F",
    "(meter)**1*(second)**-1": "m/s", "meter/second": "m/s", "(meter)**1*(second)**-2": "m/s²",
}  # fmt: skip


def _shown(amount: Quantity) -> str:
    """A quantity of a sentence: its number, and the unit by pint's name."""
    unit = amount.unit.removeprefix("noun:").removeprefix("currency:")
    unit = _SIGNS.get(unit) or re.sub(r"\*\*1\b|[()]", "", unit).replace("**", "^").replace(
        "_", " "
    )
    return f"{display_number(amount.number)} {unit}".strip()


QUANTITY: Final = _Quantity()
