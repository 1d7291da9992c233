"""A day of a back office that reads documents, made up from a seed: what is asked, by whom, and the right answer.

Of a hundred requests about thirty are on invoices of few suppliers, twenty-five on purchase orders, one after the
other, fifteen on texts from templates; the rest is new. Some documents are read twice, perhaps in other words.
"""

from dataclasses import dataclass
from random import Random

SUPPLIERS = ("Miller & Sons", "Nordwind AG", "Acme Tools", "Lindholm Oy", "Gupta Textiles", "Ferro Sud")
GOODS = ("boxes of screws", "rolls of cable", "sheets of plywood", "drums of paint", "pallets of tiles")
CITIES = ("Lyon", "Graz", "Porto", "Bergen", "Turku", "Gent", "Brno", "Split")
TOTAL = (
    "What is the total of this invoice?",
    "Please tell me the total of this invoice.",
    "Can you tell me the total of this invoice?",
)
LETTERS = (
    "Write a reminder for an unpaid invoice to a customer in {city}.",
    "Write a letter of thanks to a customer in {city}.",
    "Write a notice of delay for a delivery to {city}.",
)
CLERKS = ("ada", "ben", "cleo")
READ_TWICE = 0.35
ORDERS_BEGIN = 12_000
STATES = ("shipped", "packed", "waiting for payment", "returned")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and the only right answer to it."""

    user: str
    text: str
    answer: str


def day(requests: int, seed: int) -> list[Asked]:
    """Make a day; the same for the same seed."""
    rng = Random(seed)
    office = _Office(rng)
    kinds = rng.choices(
        (office.invoice, office.order, office.letter, office.new), (0.30, 0.25, 0.15, 0.30), k=requests
    )
    return [kind(number) for number, kind in enumerate(kinds)]


def order_state(text: str) -> str | None:
    """Give the right answer to a question about a purchase order, also one that nobody asked."""
    number = text.removeprefix(_ORDER).removesuffix("?")
    return f"PO {number} is {STATES[int(number) * 7 % len(STATES)]}." if number.isdigit() else None


_ORDER = "What is the status of purchase order PO "


class _Office:
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._invoices: list[tuple[str, str]] = []
        self._next_order = {clerk: ORDERS_BEGIN + 1000 * place for place, clerk in enumerate(CLERKS)}

    def invoice(self, number: int) -> Asked:
        """Read an invoice, or once more one that somebody read already."""
        rng = self._rng
        if self._invoices and rng.random() < READ_TWICE:
            document, answer = rng.choice(self._invoices)
        else:
            count, cents = rng.randint(2, 90), rng.randint(150, 9900)
            document = (
                f"Invoice {40_000 + number} of {rng.choice(SUPPLIERS)}, {rng.randint(1, 28)} May 2026: "
                f"{count} {rng.choice(GOODS)} at {cents / 100:.2f} EUR."
            )
            answer = f"{count * cents / 100:.2f} EUR"
            self._invoices.append((document, answer))
        return Asked(rng.choice(CLERKS), f"{document} {rng.choice(TOTAL)}", answer)

    def order(self, _number: int) -> Asked:
        """Ask about the clerk's next purchase order; each clerk has a list of consecutive ones."""
        clerk = self._rng.choice(CLERKS)
        text = f"{_ORDER}{self._next_order[clerk]}?"
        self._next_order[clerk] += 1
        return Asked(clerk, text, order_state(text) or "")

    def letter(self, _number: int) -> Asked:
        """Ask for a text from a template."""
        text = self._rng.choice(LETTERS).format(city=self._rng.choice(CITIES))
        return Asked(self._rng.choice(CLERKS), text, f"Dear customer ({text})")

    def new(self, number: int) -> Asked:
        """Ask what nobody asked before."""
        rng = self._rng
        text = (
            f"Compare offer {rng.randint(100, 999)}-{number} of {rng.choice(SUPPLIERS)} with that of "
            f"{rng.choice(SUPPLIERS)} for {rng.choice(GOODS)} to {rng.choice(CITIES)}."
        )
        return Asked(rng.choice(CLERKS), text, f"compared: {text}")
