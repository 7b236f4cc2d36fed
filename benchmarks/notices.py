"""Synthetic adverts, orders and appointments with what they say: fit questions of `benchmarks.fields`.

    python -m benchmarks.notices flats|orders|appointments [N]    # prints notice N with its truth

Unlike the invoices that judge in subject, fields, layout and wording, so that what is fitted on these
holds for extraction, and not for invoices. Each says its facts in sentences of one of three languages,
in some order, with what makes it hard: a number that is no field, a word that is taken back, a date or
a length of time to count, and something that is not said.
"""

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

__all__ = ["TASKS", "Notice", "Task", "notice"]

Value = str | float | bool | None
_DAY: Final = {"type": "string", "pattern": "^20[0-9]{2}-[01][0-9]-[0-3][0-9]$"}
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 60}


def _or_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


@dataclass(frozen=True)
class Notice:
    """A text and what it says.

    Attributes:
        number: Its number in the series.
        text: The text.
        truth: Value of each field.
        hard: What makes it hard.
    """

    number: int
    text: str
    truth: Mapping[str, Value]
    hard: frozenset[str]


@dataclass(frozen=True)
class Task:
    """What is extracted from one sort of text.

    Attributes:
        asked: What the model is asked, before the text.
        schema: Of the answer.
        write: Makes a notice.
    """

    asked: str
    schema: Mapping[str, Any]
    write: "Callable[[_Draw], tuple[list[str], Mapping[str, Value]]]"

    def question(self, one: Notice) -> str:
        """What the model is asked about a notice."""
        return f"{self.asked}\n\n{one.text}"


class _Draw:
    """Draws of one notice.

    Attributes:
        chance: Where all choices come from.
        language: Number of the language: 0 for English, 1 for German, 2 for French.
        hard: What has made it hard so far.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.language = chance.choice((0, 0, 1, 2))
        self.hard: set[str] = set()

    def is_hard(self, what: str, probability: float) -> bool:
        if self.chance.random() >= probability:
            return False
        self.hard.add(what)
        return True

    def say(self, *ways: str, **values: object) -> str:
        """A sentence in the notice's language."""
        return ways[self.language].format(**values)

    def name(self) -> str:
        return f"{self.chance.choice(_FIRST)} {self.chance.choice(_LAST)}"

    def day(self) -> date:
        return date(2024, 1, 8) + timedelta(self.chance.randrange(700))

    def written(self, day: date) -> str:
        month = _MONTHS[self.language].split()[day.month - 1]
        numeric = ("%d/%m/%Y", "%d.%m.%Y", "%d/%m/%Y")[self.language]
        worded = (f"{day.day} {month} {day.year}", f"{day.day}. {month} {day.year}")
        return self.chance.choice((day.strftime(numeric), worded[self.language == 1]))

    def amount(self, value: float) -> str:
        written = f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
        if self.language == 1:
            written = written.replace(",", "|").replace(".", ",").replace("|", ".")
        if self.language == 2:
            written = written.replace(",", " ").replace(".", ",")
        return f"€{written}" if self.language == 0 else f"{written} €"


_FIRST: Final = ("Mara", "Jonas", "Aisha", "Luc", "Petra", "Tom", "Yuki", "Elena", "Omar", "Greta")
_LAST: Final = ("Berger", "Lopez", "Haddad", "Winter", "Sato", "Moreau", "Klein", "Novak", "Ahmed")
_CITIES: Final = ("Leeds", "Graz", "Lyon", "Bonn", "Cork", "Nantes", "Linz", "Bristol", "Metz")
_GOODS: Final = (
    ("desk lamps", "Schreibtischlampen", "lampes de bureau"),
    ("office chairs", "Bürostühle", "chaises de bureau"),
    ("water bottles", "Wasserflaschen", "gourdes"),
    ("notebooks", "Notizbücher", "carnets"),
    ("bicycle helmets", "Fahrradhelme", "casques de vélo"),
)
_MONTHS: Final = (
    "January February March April May June July August September October November December",
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
)


def _flat(draw: _Draw) -> tuple[list[str], Mapping[str, Value]]:
    chance, say = draw.chance, draw.say
    city, rooms = chance.choice(_CITIES), chance.choice((1, 2, 2.5, 3, 3.5, 4))
    area, rent = chance.randrange(24, 130), float(chance.randrange(380, 2100, 10))
    costs = None if draw.is_hard("not said", 0.35) else float(chance.randrange(60, 320, 5))
    begins, pets = draw.day(), chance.choice(("allowed", "forbidden", "not stated"))
    furnished = chance.random() < 0.5
    said = [
        say(
            "Flat in {city}: {rooms} rooms, {area} m².",
            "Wohnung in {city}: {rooms} Zimmer, {area} m².",
            "Appartement à {city} : {rooms} pièces, {area} m².",
            city=city,
            rooms=f"{rooms:g}" if draw.language == 0 else f"{rooms:g}".replace(".", ","),
            area=area,
        )
    ]
    if costs is not None and draw.is_hard("to add up", 0.35):
        said.append(
            say(
                "{all} a month in all, of which {costs} are for heating and water.",
                "{all} im Monat warm, davon {costs} Nebenkosten.",
                "{all} par mois charges comprises, dont {costs} de charges.",
                all=draw.amount(rent + costs),
                costs=draw.amount(costs),
            )
        )
    else:
        said.append(
            say(
                "Rent {rent} a month.",
                "Kaltmiete {rent} im Monat.",
                "Loyer hors charges : {rent} par mois.",
                rent=draw.amount(rent),
            )
        )
        if costs is not None:
            said.append(
                say(
                    "Heating and water: {costs}.",
                    "Nebenkosten: {costs}.",
                    "Charges : {costs}.",
                    costs=draw.amount(costs),
                )
            )
    told = draw.written(begins)
    if draw.is_hard("taken back", 0.3):
        said.append(
            say(
                "Free from {day}, not from {other} as we wrote before.",
                "Frei ab {day}, nicht ab {other}, wie zuerst angegeben.",
                "Libre le {day}, et non le {other} comme annoncé.",
                day=told,
                other=draw.written(begins - timedelta(chance.randint(5, 40))),
            )
        )
    else:
        said.append(say("Free from {day}.", "Frei ab {day}.", "Libre le {day}.", day=told))
    if pets == "allowed":
        said.append(say("Cats are welcome.", "Katzen sind willkommen.", "Chats bienvenus."))
    if pets == "forbidden":
        said.append(say("No animals, please.", "Bitte keine Tiere.", "Pas d'animaux."))
    if furnished:
        said.append(
            say(
                "Bed, table and wardrobe stay.",
                "Bett, Tisch und Schrank bleiben drin.",
                "Lit, table et armoire restent.",
            )
        )
    elif chance.random() < 0.5:
        said.append(say("It is empty.", "Sie ist leer.", "Il est vide."))
    if draw.is_hard("another number", 0.5):
        said.append(
            say(
                "Deposit: {sum}. Built in {year}.",
                "Kaution: {sum}. Baujahr {year}.",
                "Dépôt de garantie : {sum}. Construit en {year}.",
                sum=draw.amount(2 * rent),
                year=chance.randrange(1890, 2020),
            )
        )
    first, *rest = said
    chance.shuffle(rest)
    return [first, *rest], {
        "city": city,
        "rooms": float(rooms),
        "area": float(area),
        "rent": rent,
        "utilities": costs,
        "available_from": begins.isoformat(),
        "pets": pets,
        "furnished": furnished,
    }


def _order(draw: _Draw) -> tuple[list[str], Mapping[str, Value]]:
    chance, say = draw.chance, draw.say
    customer, city = draw.name(), chance.choice(_CITIES)
    goods, count = chance.choice(_GOODS)[draw.language], chance.randrange(3, 90)
    price = None if draw.is_hard("not said", 0.3) else round(chance.uniform(2, 90), 2)
    ordered, express = draw.day(), chance.random() < 0.4
    reference = f"{chance.choice('KLMPR')}{chance.randrange(100, 999)}-{chance.randrange(10, 99)}"
    said = []
    if draw.is_hard("taken back", 0.3):
        said.append(
            say(
                "we would like {count} {goods}, no longer {other}.",
                "wir möchten {count} {goods}, nicht mehr {other}.",
                "nous voudrions {count} {goods}, et non plus {other}.",
                count=count,
                goods=goods,
                other=count + chance.choice((-2, 2, 5, 10)),
            )
        )
    elif draw.is_hard("to multiply", 0.25):
        count = chance.choice((2, 3, 4, 5)) * (each := chance.choice((6, 8, 12)))
        said.append(
            say(
                "please send {boxes} boxes of {each} {goods}.",
                "bitte senden Sie {boxes} Kartons mit je {each} {goods}.",
                "veuillez envoyer {boxes} cartons de {each} {goods}.",
                boxes=count // each,
                each=each,
                goods=goods,
            )
        )
    else:
        said.append(
            say(
                "please send {count} {goods}.",
                "bitte senden Sie {count} {goods}.",
                "veuillez envoyer {count} {goods}.",
                count=count,
                goods=goods,
            )
        )
    if price is not None:
        said.append(
            say(
                "We agreed on {price} each.",
                "Vereinbart sind {price} pro Stück.",
                "Le prix convenu est de {price} pièce.",
                price=draw.amount(price),
            )
        )
    due: date | None = ordered + timedelta(7 * chance.randint(1, 5))
    if draw.is_hard("no day", 0.25):
        due = None
    elif draw.is_hard("to count", 0.3):
        assert due is not None
        said.append(
            say(
                "We need them {weeks} weeks after the date of this letter.",
                "Wir brauchen sie {weeks} Wochen nach dem Datum dieses Briefs.",
                "Il nous les faut {weeks} semaines après la date de cette lettre.",
                weeks=(due - ordered).days // 7,
            )
        )
    else:
        assert due is not None
        said.append(
            say(
                "They must be here by {day}.",
                "Sie müssen bis {day} hier sein.",
                "Ils doivent être ici le {day}.",
                day=draw.written(due),
            )
        )
    if express:
        said.append(say("Send it express.", "Bitte als Expresssendung.", "En livraison express."))
    said.append(
        say(
            "Our reference is {one}; yours was {other}.",
            "Unser Zeichen ist {one}, Ihres war {other}.",
            "Notre référence est {one}, la vôtre était {other}.",
            one=reference,
            other=f"{chance.choice('KLMPR')}{chance.randrange(100, 999)}-{chance.randrange(10, 99)}",
        )
    )
    head = f"{city}, {draw.written(ordered)}"
    hello = say("Good morning,", "Guten Tag,", "Bonjour,")
    first, *rest = said
    chance.shuffle(rest)
    return [f"{head}\n\n{hello}", first, *rest, f"\n\n{customer}"], {
        "customer": customer,
        "city": city,
        "article": goods,
        "quantity": float(count),
        "unit_price": price,
        "deliver_by": None if due is None else due.isoformat(),
        "express": express,
        "reference": reference,
    }


def _appointment(draw: _Draw) -> tuple[list[str], Mapping[str, Value]]:
    chance, say = draw.chance, draw.say
    person, place = draw.name(), chance.choice(_CITIES)
    written = draw.day()
    when = written + timedelta(chance.choice((1, 2, 7, 8, 14, 21)))
    begins, length = chance.randrange(8 * 60, 17 * 60, 15), chance.choice((30, 45, 60, 90, 120))
    room = (
        None if draw.is_hard("not said", 0.35) else f"{chance.choice('ABC')}{chance.randrange(9)}"
    )
    online, guests = chance.random() < 0.4, chance.randrange(2, 30)
    clock = f"{begins // 60:02}:{begins % 60:02}"
    days = (when - written).days
    if draw.is_hard("to count", 0.35):
        day = say(
            "{days} days from today, {today},",
            "heute, am {today}, in {days} Tagen",
            "dans {days} jours à partir d'aujourd'hui, {today},",
            days=days,
            today=draw.written(written),
        )
    else:
        day = say("on {day}", "am {day}", "le {day}", day=draw.written(when))
    ends = begins + length
    if draw.is_hard("length to count", 0.5):
        time = say(
            "from {one} to {other}",
            "von {one} bis {other}",
            "de {one} à {other}",
            one=clock,
            other=f"{ends // 60:02}:{ends % 60:02}",
        )
    else:
        time = say(
            "at {one} for {length} minutes",
            "um {one} für {length} Minuten",
            "à {one} pendant {length} minutes",
            one=clock,
            length=length,
        )
    said = [
        say(
            "{person} invites you {day} {time}.",
            "{person} lädt Sie ein: {day} {time}.",
            "{person} vous invite {day} {time}.",
            person=person,
            day=day,
            time=time,
        )
    ]
    if room is not None:
        said.append(say("Room {room}.", "Raum {room}.", "Salle {room}.", room=room))
    said.append(say("Office: {city}.", "Büro: {city}.", "Bureau : {city}.", city=place))
    if online:
        said.append(
            say(
                "You can only join by video.",
                "Die Teilnahme ist nur per Video möglich.",
                "La participation se fait uniquement par vidéo.",
            )
        )
    if draw.is_hard("another number", 0.5):
        said.append(
            say(
                "Of {all} who were asked, {guests} will come.",
                "Von {all} Gefragten kommen {guests}.",
                "Sur {all} invités, {guests} viendront.",
                all=guests + chance.randint(1, 9),
                guests=guests,
            )
        )
    else:
        said.append(
            say(
                "{guests} guests will come.",
                "Es kommen {guests} Gäste.",
                "Il y aura {guests} invités.",
                guests=guests,
            )
        )
    first, *rest = said
    chance.shuffle(rest)
    return [first, *rest], {
        "host": person,
        "date": when.isoformat(),
        "begins": clock,
        "minutes": float(length),
        "room": room,
        "office": place,
        "online": online,
        "guests": float(guests),
    }


def _schema(**fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


TASKS: Final[Mapping[str, Task]] = {
    "flats": Task(
        "Extract the data of this advert.",
        _schema(
            city=_NAME,
            rooms={"type": "number"},
            area={"type": "number", "description": "square metres"},
            rent={"type": "number", "description": "per month, without utilities"},
            utilities={
                **_or_null({"type": "number"}),
                "description": "heating and water per month; null if not stated",
            },
            available_from={**_DAY, "description": "YYYY-MM-DD"},
            pets={"enum": ["allowed", "forbidden", "not stated"]},
            furnished={"type": "boolean", "description": "whether furniture stays in it"},
        ),
        _flat,
    ),
    "orders": Task(
        "Extract the data of this order.",
        _schema(
            customer={**_NAME, "description": "who signs the letter"},
            city={**_NAME, "description": "where it was written"},
            article={**_NAME, "description": "what is ordered, as in the letter"},
            quantity={"type": "number", "description": "number of pieces in all"},
            unit_price={
                **_or_null({"type": "number"}),
                "description": "price of one; null if not stated",
            },
            deliver_by={
                **_or_null(_DAY),
                "description": "YYYY-MM-DD, counted from the letter's date if need be; null if not "
                "stated",
            },
            express={"type": "boolean", "description": "whether express delivery is asked for"},
            reference={**_NAME, "description": "the customer's own reference"},
        ),
        _order,
    ),
    "appointments": Task(
        "Extract the data of this invitation.",
        _schema(
            host={**_NAME, "description": "who invites"},
            date={**_DAY, "description": "YYYY-MM-DD"},
            begins={
                "type": "string",
                "pattern": "^[0-2][0-9]:[0-5][0-9]$",
                "description": "HH:MM",
            },
            minutes={"type": "number", "description": "length in minutes"},
            room={**_or_null(_NAME), "description": "null if not stated"},
            office={**_NAME, "description": "the city"},
            online={"type": "boolean", "description": "whether one can only take part by video"},
            guests={"type": "number", "description": "how many will come"},
        ),
        _appointment,
    ),
}
"""What is fitted on."""


def notice(task: str, number: int, seed: int = 0) -> Notice:
    """A notice of a series; the same task, number and seed give the same one."""
    draw = _Draw(random.Random(f"{task} {seed} {number}"))
    said, truth = TASKS[task].write(draw)
    return Notice(number, " ".join(said), truth, frozenset(draw.hard))


def main() -> None:
    task, number = sys.argv[1], int((*sys.argv[2:], "0")[0])
    one = notice(task, number)
    print(TASKS[task].question(one), dict(one.truth), sorted(one.hard), sep="\n\n")


if __name__ == "__main__":
    main()
