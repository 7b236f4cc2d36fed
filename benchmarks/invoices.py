"""Synthetic invoices as free text, with what they say: a seeded generator for `benchmarks.fields`.

    python -m benchmarks.invoices [N]    # prints invoice N with its truth

Six conventions of dates, amounts and currencies in four languages, four layouts. Names and numbers are
made up. Invoices differ in what makes them hard: a second date, a due date that is missing or has to be
counted, net beside gross, a total that has to be added up, a deposit that has been paid, supplier and
customer of similar names, other numbers, misread characters.
"""

import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

__all__ = ["SCHEMA", "Invoice", "invoice", "question_of"]

_DAY: Final = {
    "type": "string",
    "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
}
_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 60}
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "supplier": {**_NAME, "description": "who issued the invoice"},
        "customer": {**_NAME, "description": "who has to pay it"},
        "number": {
            "type": "string",
            "minLength": 1,
            "maxLength": 30,
            "description": "invoice number",
        },
        "date": {**_DAY, "description": "invoice date, YYYY-MM-DD"},
        "due_date": {
            "anyOf": [_DAY, {"type": "null"}],
            "description": "last day of payment, YYYY-MM-DD, counted from the invoice date where only "
            "a number of days is stated; null if neither is",
        },
        "currency": {"enum": ["EUR", "USD", "GBP", "CHF"]},
        "net": {
            "anyOf": [{"type": "number"}, {"type": "null"}],
            "description": "amount before tax; null if it is not stated",
        },
        "total": {
            "type": "number",
            "description": "amount including tax, whether or not a part of it has been paid",
        },
    },
    "required": ["supplier", "customer", "number", "date", "due_date", "currency", "net", "total"],
    "additionalProperties": False,
}
"""What is extracted: eight fields."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "invoice": "Invoice",
        "number": "Invoice no.",
        "date": "Invoice date",
        "due": "Due date",
        "delivery": "Delivery date",
        "to": "Bill to",
        "from": "From",
        "net": "Net amount",
        "tax": "VAT",
        "total": "Total",
        "deposit": "Deposit received",
        "days": "Payable within {} days",
        "customer_number": "Customer no.",
        "phone": "Phone",
        "item": "Description",
        "letter": "{supplier}\n\nTo {customer}\n\n{date}\n\nDear Sir or Madam,\n\nplease find below "
        "our invoice {number}{delivered}. {amounts} {payment}\n\nKind regards\n{supplier}",
        "mail": "Hi, this is {person} of {supplier}. Our invoice {number} of {date} is for {customer}"
        "{delivered}. {amounts} {payment} Thanks!",
        "delivered": " for the delivery of {}",
        "said_net": "The net amount is {}.",
        "said_tax": "{} VAT has to be added.",
        "said_total": "The total is {} including VAT.",
        "said_due": "Please pay by {}.",
        "said_days": "Please pay within {} days of the invoice date.",
        "said_deposit": "You have already paid {} of it.",
    },
    "de": {
        "invoice": "Rechnung",
        "number": "Rechnungsnr.",
        "date": "Rechnungsdatum",
        "due": "Zahlbar bis",
        "delivery": "Lieferdatum",
        "to": "An",
        "from": "Von",
        "net": "Nettobetrag",
        "tax": "MwSt.",
        "total": "Gesamtbetrag",
        "deposit": "Anzahlung erhalten",
        "days": "Zahlbar innerhalb von {} Tagen",
        "customer_number": "Kundennr.",
        "phone": "Tel.",
        "item": "Bezeichnung",
        "letter": "{supplier}\n\nAn {customer}\n\n{date}\n\nSehr geehrte Damen und Herren,\n\nhiermit "
        "stellen wir Ihnen unter der Nummer {number} in Rechnung{delivered}. {amounts} {payment}\n\n"
        "Mit freundlichen Grüßen\n{supplier}",
        "mail": "Hallo, hier {person} von {supplier}. Unsere Rechnung {number} vom {date} geht an "
        "{customer}{delivered}. {amounts} {payment} Danke!",
        "delivered": " (Lieferung vom {})",
        "said_net": "Der Nettobetrag ist {}.",
        "said_tax": "Hinzu kommen {} MwSt.",
        "said_total": "Der Betrag ist {} inkl. MwSt.",
        "said_due": "Bitte zahlen Sie bis zum {}.",
        "said_days": "Bitte zahlen Sie innerhalb von {} Tagen ab Rechnungsdatum.",
        "said_deposit": "Davon haben Sie {} bereits angezahlt.",
    },
    "fr": {
        "invoice": "Facture",
        "number": "Facture n°",
        "date": "Date de facture",
        "due": "Échéance",
        "delivery": "Date de livraison",
        "to": "Client",
        "from": "Fournisseur",
        "net": "Montant HT",
        "tax": "TVA",
        "total": "Total TTC",
        "deposit": "Acompte versé",
        "days": "Payable sous {} jours",
        "customer_number": "N° client",
        "phone": "Tél.",
        "item": "Désignation",
        "letter": "{supplier}\n\nÀ l'attention de {customer}\n\nLe {date}\n\nMadame, Monsieur,\n\n"
        "veuillez trouver ci-dessous notre facture {number}{delivered}. {amounts} {payment}\n\n"
        "Cordialement\n{supplier}",
        "mail": "Bonjour, ici {person} de {supplier}. Notre facture {number} du {date} est pour "
        "{customer}{delivered}. {amounts} {payment} Merci !",
        "delivered": " pour la livraison du {}",
        "said_net": "Le montant hors taxes est de {}.",
        "said_tax": "S'y ajoutent {} de TVA.",
        "said_total": "Le total est de {} TTC.",
        "said_due": "Merci de payer avant le {} inclus.",
        "said_days": "Merci de payer sous {} jours à compter de la date de facture.",
        "said_deposit": "Vous en avez déjà versé {}.",
    },
    "es": {
        "invoice": "Factura",
        "number": "Factura n.º",
        "date": "Fecha de factura",
        "due": "Vencimiento",
        "delivery": "Fecha de entrega",
        "to": "Cliente",
        "from": "Proveedor",
        "net": "Base imponible",
        "tax": "IVA",
        "total": "Total",
        "deposit": "Anticipo recibido",
        "days": "Pago a {} días",
        "customer_number": "N.º de cliente",
        "phone": "Tel.",
        "item": "Concepto",
        "letter": "{supplier}\n\nA {customer}\n\n{date}\n\nEstimados señores:\n\nles enviamos nuestra "
        "factura {number}{delivered}. {amounts} {payment}\n\nAtentamente\n{supplier}",
        "mail": "Hola, soy {person} de {supplier}. Nuestra factura {number} del {date} es para "
        "{customer}{delivered}. {amounts} {payment} ¡Gracias!",
        "delivered": " por la entrega del {}",
        "said_net": "La base imponible es de {}.",
        "said_tax": "Se añade un {} de IVA.",
        "said_total": "El total es de {} con IVA incluido.",
        "said_due": "Rogamos el pago hasta el {} inclusive.",
        "said_days": "Rogamos el pago en {} días desde la fecha de la factura.",
        "said_deposit": "Ya han pagado {}.",
    },
}
_MONTHS: Final = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}


@dataclass(frozen=True)
class _Convention:
    """How a country writes amounts and days.

    Attributes:
        language: Key of `_WORDS`.
        currency: ISO code.
        symbol: The currency's sign.
        before: Whether the sign stands before the amount.
        thousands: What stands between thousands.
        point: What stands before the cents.
        numeric: A day in numbers, as for `strftime`.
        written: A day in words, with {day}, {month} and {year}.
        taxes: Tax rates, percent.
    """

    language: str
    currency: str
    symbol: str
    before: bool
    thousands: str
    point: str
    numeric: str
    written: str
    taxes: tuple[str, ...]


_CONVENTIONS: Final = (
    _Convention("en", "GBP", "£", True, ",", ".", "%d/%m/%Y", "{day} {month} {year}", ("20", "5")),
    _Convention(
        "en", "USD", "$", True, ",", ".", "%m/%d/%Y", "{month} {day}, {year}", ("8.25", "6")
    ),
    _Convention(
        "de", "EUR", "€", False, ".", ",", "%d.%m.%Y", "{day}. {month} {year}", ("19", "7")
    ),
    _Convention("de", "CHF", "Fr.", True, "'", ".", "%d.%m.%Y", "{day}. {month} {year}", ("8.1",)),
    _Convention(
        "fr", "EUR", "€", False, "\u202f", ",", "%d/%m/%Y", "{day} {month} {year}", ("20",)
    ),
    _Convention(
        "es", "EUR", "€", False, ".", ",", "%d-%m-%Y", "{day} de {month} de {year}", ("21", "10")
    ),
)
_SURNAMES: Final = [
    "Keller",
    "Brandt",
    "Okafor",
    "Lindqvist",
    "Moreau",
    "Castillo",
    "Whitfield",
    "Novak",
    "Ferrari",
    "Tanaka",
    "Oduya",
    "Hartmann",
    "Delacroix",
    "Ibarra",
    "Pemberton",
    "Kowalski",
    "Aydin",
    "Rasmussen",
    "Vega",
    "Fontaine",
]
_TRADES: Final = {
    "en": ("Print Works", "Logistics", "Catering", "Timber", "Software", "Garden Supplies"),
    "de": ("Druckerei", "Spedition", "Haustechnik", "Holzbau", "Software", "Büromöbel"),
    "fr": ("Imprimerie", "Transports", "Traiteur", "Menuiserie", "Logiciels", "Papeterie"),
    "es": ("Imprenta", "Transportes", "Carpintería", "Jardines", "Informática", "Papelería"),
}
_FORMS: Final = {
    "en": ("Ltd", "LLC", "& Sons"),
    "de": ("GmbH", "AG", "& Söhne"),
    "fr": ("SARL", "SAS", "& Fils"),
    "es": ("S.L.", "S.A.", "e Hijos"),
}
_ITEMS: Final = {
    "en": ("Oak shelves", "Maintenance", "Paper, 500 sheets", "Delivery"),
    "de": ("Eichenregale", "Wartung", "Papier, 500 Blatt", "Lieferung"),
    "fr": ("Étagères en chêne", "Entretien", "Papier, 500 feuilles", "Livraison"),
    "es": ("Estantes de roble", "Mantenimiento", "Papel, 500 hojas", "Envío"),
}
_MISREAD: Final = {"0": "O", "O": "0", "1": "l", "l": "1", "5": "S", "S": "5", "8": "B", "B": "8"}
_MISREAD_RATE: Final = 0.04
"""Chance that a character that has a double is taken for it."""
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True)
class Invoice:
    """An invoice and what it says.

    Attributes:
        number: Its number in the series.
        text: The text.
        truth: Value of each field of `SCHEMA`.
        hard: What makes it hard.
    """

    number: int
    text: str
    truth: Mapping[str, str | float | None]
    hard: frozenset[str]


def question_of(one: Invoice) -> str:
    """What the model is asked."""
    return f"Extract the data of this invoice.\n\n{one.text}"


def invoice(number: int, seed: int = 0) -> Invoice:
    """An invoice of a series; the same number and seed give the same one."""
    return _Writer(random.Random(f"invoice {seed} {number}")).write(number)


class _Writer:
    """Draws what an invoice says and writes it down.

    Args:
        chance: Where all choices come from.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.way = chance.choice(_CONVENTIONS)
        self.words = _WORDS[self.way.language]
        self.numeric, self.by_symbol = chance.random() < 0.6, chance.random() < 0.6
        self.hard: set[str] = set()

    def write(self, number: int) -> Invoice:
        chance = self.chance
        supplier = self._company()
        customer = self._similar(supplier) if self._is("similar names", 0.3) else self._company()
        issued = date(2023, 1, 2) + timedelta(chance.randrange(900))
        days = chance.choice((7, 10, 14, 21, 30, 45, 60))
        reference = self._reference(issued)
        prices = [
            Decimal(chance.randrange(900, 250_000)) * _CENT for _ in range(chance.randint(1, 3))
        ]
        rate = Decimal(chance.choice(self.way.taxes))
        net = sum(prices, Decimal(0))
        tax = (net * rate / 100).quantize(_CENT, ROUND_HALF_UP)
        said = {"supplier": supplier, "customer": customer, "number": reference}
        said["date"] = self._day(issued)
        due = issued + timedelta(days)
        payment, has_due = self._payment(due, days)
        if self._is("another date", 0.5):
            said["delivery"] = self._day(issued - timedelta(chance.randint(1, 12)))
        amounts, has_net = self._amounts(net, tax, rate)
        layout: Callable[[Mapping[str, str], Mapping[str, str], list[Decimal]], str] = (
            chance.choice((self._block, self._table, self._letter, self._mail))
        )
        text = layout(said, {**amounts, **payment}, prices)
        if self._is("misread characters", 0.25):
            text = self._misread(text)
        truth: dict[str, str | float | None] = {
            "supplier": supplier,
            "customer": customer,
            "number": reference,
            "date": issued.isoformat(),
            "due_date": due.isoformat() if has_due else None,
            "currency": self.way.currency,
            "net": float(net) if has_net else None,
            "total": float(net + tax),
        }
        return Invoice(number, text, truth, frozenset(self.hard))

    def _is(self, what: str, probability: float) -> bool:
        """Whether the invoice is hard in this way."""
        if self.chance.random() >= probability:
            return False
        self.hard.add(what)
        return True

    def _company(self) -> str:
        language, chance = self.way.language, self.chance
        trade, form = chance.choice(_TRADES[language]), chance.choice(_FORMS[language])
        return f"{trade} {chance.choice(_SURNAMES)} {form}"

    def _similar(self, supplier: str) -> str:
        """A company that differs in one word."""
        words = supplier.split(" ")
        words[1 if words[1] in _SURNAMES else 2] = self.chance.choice(_SURNAMES)
        return " ".join(words) if " ".join(words) != supplier else self._company()

    def _reference(self, issued: date) -> str:
        count = self.chance.randrange(10, 9800)
        return self.chance.choice(
            (
                f"{issued.year}-{count:04}",
                f"RE{issued:%y}{count:05}",
                f"INV/{issued:%y}/{count:05}",
                f"F-{count:06}",
            )
        )

    def _day(self, day: date) -> str:
        if self.numeric:
            return day.strftime(self.way.numeric)
        month = _MONTHS[self.way.language].split()[day.month - 1]
        return self.way.written.format(day=day.day, month=month, year=day.year)

    def _money(self, amount: Decimal) -> str:
        way = self.way
        written = f"{amount:,.2f}".replace(".", "|").replace(",", way.thousands)
        written = written.replace("|", way.point)
        if not self.by_symbol:
            return f"{written} {way.currency}"
        if not way.before:
            return f"{written} {way.symbol}"
        return f"{way.symbol} {written}" if way.symbol.endswith(".") else f"{way.symbol}{written}"

    def _rate(self, rate: Decimal) -> str:
        return f"{rate} %".replace(".", self.way.point)

    def _payment(self, due: date, days: int) -> tuple[dict[str, str], bool]:
        """How the due date is told, and whether it is."""
        if self._is("no due date", 0.25):
            return {}, False
        if self._is("due date to count", 0.25):
            return {"days": str(days)}, True
        return {"due": self._day(due)}, True

    def _amounts(self, net: Decimal, tax: Decimal, rate: Decimal) -> tuple[dict[str, str], bool]:
        """How the amounts are told, and whether the net amount is among them."""
        said = {}
        if self._is("total to add up", 0.2):
            said = {"net": self._money(net), "tax": self._rate(rate)}
        elif self._is("net beside total", 0.5):
            said = {
                "net": self._money(net),
                "tax": self._rate(rate),
                "total": self._money(net + tax),
            }
        else:
            said = {"total": self._money(net + tax)}
        if self._is("deposit", 0.2):
            part = ((net + tax) * self.chance.choice((20, 30, 50)) / 100).quantize(_CENT)
            said["deposit"] = self._money(part)
        return said, "net" in said

    def _block(
        self, said: Mapping[str, str], amounts: Mapping[str, str], prices: list[Decimal]
    ) -> str:
        """One entry per line, in an order of chance."""
        del prices
        words, chance = self.words, self.chance
        lines = [
            f"{words['number']}: {said['number']}",
            f"{words['date']}: {said['date']}",
            f"{words['from']}: {said['supplier']}",
            f"{words['to']}: {said['customer']}",
            f"{words['customer_number']}: {chance.randrange(1000, 99_999)}",
        ]
        if "delivery" in said:
            lines.append(f"{words['delivery']}: {said['delivery']}")
        chance.shuffle(lines)
        return "\n".join([words["invoice"], *lines, *self._sums(amounts)])

    def _table(
        self, said: Mapping[str, str], amounts: Mapping[str, str], prices: list[Decimal]
    ) -> str:
        """A letterhead, columns of items, and sums below; items only where net amounts are told."""
        words, chance = self.words, self.chance
        phone = f"{words['phone']} {chance.randrange(10**6, 10**7)}"
        head = [
            f"{said['supplier']} · {phone}",
            said["customer"],
            f"{words['invoice']} {said['number']}    {said['date']}",
        ]
        if "delivery" in said:
            head.append(f"{words['delivery']} {said['delivery']}")
        rows = []
        if "net" in amounts:
            items = [chance.choice(_ITEMS[self.way.language]) for _ in prices]
            rows = [f"{words['item']:<28}{self.way.currency}"]
            rows += [
                f"{item:<28}{self._money(price)}" for item, price in zip(items, prices, strict=True)
            ]
        return "\n".join([*head, "", *rows, *self._sums(amounts)])

    def _sums(self, amounts: Mapping[str, str]) -> list[str]:
        words = self.words
        names = ("net", "tax", "total", "deposit", "due")
        lines = [f"{words[name]}: {amounts[name]}" for name in names if name in amounts]
        if "days" in amounts:
            lines.append(words["days"].format(amounts["days"]))
        return lines

    def _letter(
        self, said: Mapping[str, str], amounts: Mapping[str, str], prices: list[Decimal]
    ) -> str:
        """A letter in sentences."""
        del prices
        return self._told("letter", said, amounts)

    def _mail(
        self, said: Mapping[str, str], amounts: Mapping[str, str], prices: list[Decimal]
    ) -> str:
        """A short message that names a person, too."""
        del prices
        return self._told("mail", said, amounts)

    def _told(self, form: str, said: Mapping[str, str], amounts: Mapping[str, str]) -> str:
        words = self.words

        def sentences(*names: str) -> str:
            told = (
                words[f"said_{name}"].format(amounts[name]) for name in names if name in amounts
            )
            return " ".join(told)

        delivered = words["delivered"].format(said["delivery"]) if "delivery" in said else ""
        return words[form].format(
            **{**said, "delivered": delivered, "person": self.chance.choice(_SURNAMES)},
            amounts=sentences("net", "tax", "total", "deposit"),
            payment=sentences("due", "days"),
        )

    def _misread(self, text: str) -> str:
        chance = self.chance
        return "".join(
            _MISREAD[one] if one in _MISREAD and chance.random() < _MISREAD_RATE else one
            for one in text
        )


if __name__ == "__main__":
    shown = invoice(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(shown.text, dict(shown.truth), sorted(shown.hard), sep="\n\n")
