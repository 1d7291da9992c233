"""Sentences with names that nobody has, of many countries."""

# ruff: noqa: S311 - its chances are no secrets

import random
import re

from faker import Faker

from penstock_foundry.names.corpus import Example

LOCALES = (
    "en_US", "en_GB", "en_AU", "en_CA", "en_IN", "en_NZ", "de_DE", "de_AT", "fr_FR", "fr_CH",
    "it_IT", "es_ES", "es_MX", "pt_BR", "pt_PT", "nl_NL", "da_DK", "sv_SE", "no_NO", "fi_FI",
    "pl_PL", "cs_CZ", "hu_HU", "ro_RO", "hr_HR", "sl_SI", "tr_TR", "et_EE", "lt_LT", "zu_ZA",
)  # fmt: skip
PREFIXES = ("Mr.", "Mrs.", "Ms.", "Dr.", "Miss", "Prof.", "Mr", "Mrs")
TYPES = {
    **dict.fromkeys(("person", "first", "last"), "PERSON"),
    **dict.fromkeys(("city", "country", "address"), "LOCATION"),
    "company": "ORGANIZATION",
    **dict.fromkeys(("job", "prefix"), "TITLE"),
}
_LOWERED_SHARE, _SHOUTED_SHARE, _PLAIN_NAME_SHARE = 0.12, 0.1, 0.8
# Of addresses: streets alone, and what has a city but no country.
_STREET_ONLY_SHARE, _NO_COUNTRY_SHARE = 0.3, 0.7
_SLOT = re.compile(r"\{(\w+)\}")


class Inventor:
    """Make sentences with names that nobody has."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._fakers = []
        for position, locale in enumerate(LOCALES):
            faker = Faker(locale)
            faker.seed_instance(seed + position)
            self._fakers.append(faker)

    def filled(self, template: str) -> Example:
        """Fill the slots of a template: {person} {first} {last} {city} {country} {address} {company} {job} {prefix}."""
        text, spans, last = "", [], 0
        for slot in _SLOT.finditer(template):
            text += template[last : slot.start()]
            value, kind = self._value(slot[1])
            spans.append((len(text), len(text) + len(value), kind))
            text += value
            last = slot.end()
        text += template[last:]
        if self._random.random() < _LOWERED_SHARE:
            text = text.lower() if len(text.lower()) == len(text) else text
        return Example(text, spans, template)

    def _value(self, slot: str) -> tuple[str, str]:
        faker, draw = self._random.choice(self._fakers), self._random.random()
        invent = {
            "person": lambda: (
                f"{faker.first_name()} {faker.last_name()}" if draw < _PLAIN_NAME_SHARE else faker.name()
            ),
            "first": faker.first_name,
            "last": faker.last_name,
            "city": lambda: faker.city().upper() if draw < _SHOUTED_SHARE else faker.city(),
            "country": self._fakers[0].country,
            "address": lambda: self._address(faker, draw),
            "company": faker.company,
            "job": self._fakers[0].job,
            "prefix": lambda: self._random.choice(PREFIXES),
        }
        return str(invent[slot]()), TYPES[slot]

    def _address(self, faker: Faker, draw: float) -> str:
        street = str(faker.street_address()).replace("\n", ", ")
        if draw < _STREET_ONLY_SHARE:
            return street
        tail = f"{faker.city()} {faker.postcode()}"
        separator = self._random.choice((", ", "\n", " "))
        return (
            f"{street}{separator}{tail}"
            if draw < _NO_COUNTRY_SHARE
            else f"{street}{separator}{tail}{separator}{self._fakers[0].country()}"
        )
