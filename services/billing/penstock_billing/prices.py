"""The price book: immutable rows from YAML, exact to the nano-dollar, versioned by their content."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Annotated, NamedTuple

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from servicekit.errors import FailedPrecondition

from penstock_billing.clock import to_us
from penstock_billing.yaml_place import line_of

VERSION_DIGITS = 16
ROWS_MAX = 100_000

# US dollars for 1,000,000 tokens, from 0 to 99,999.999999999, exact to the nano-dollar.
Dollars = Annotated[str, Field(pattern=r"^\d{1,5}(\.\d{1,9})?$")]


class PriceBookError(ValueError):
    """The price book cannot be used; the message says why, `line` where, from 1; 0: nowhere in particular."""

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem)
        self.problem = problem
        self.line = line


class Prices(NamedTuple):
    """What a SKU costs: nano-dollars for 1,000,000 tokens of each disjoint class."""

    sku: str
    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int
    book_version: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """Prices and when they hold: from inclusive, to exclusive, None for ever."""

    prices: Prices
    valid_from_us: int
    valid_to_us: int | None

    def holds_at(self, at_us: int) -> bool:
        """Tell whether these are the prices at a time."""
        return self.valid_from_us <= at_us and (self.valid_to_us is None or at_us < self.valid_to_us)


class PriceBook:
    """Prices by SKU and time. Unknown is an error, never zero; zero is a price."""

    def __init__(self, content: str, rows: Iterable[PriceRow]) -> None:
        self.content = content
        self.version = version_of(content)
        self._rows: dict[str, list[PriceRow]] = {}
        for row in rows:
            self._rows.setdefault(row.prices.sku, []).append(row)

    def find(self, sku: str, at_us: int) -> Prices:
        """Give the prices of a SKU at a time.

        Raises:
            FailedPrecondition: no price is known (PRICE_UNKNOWN).
        """
        for row in self._rows.get(sku, ()):
            if row.holds_at(at_us):
                return row.prices
        raise FailedPrecondition("PRICE_UNKNOWN", f"No price is known for {sku!r}.", metadata={"sku": sku})

    def all_at(self, at_us: int) -> list[Prices]:
        """Give all prices of a time, by SKU."""
        return [row.prices for sku in sorted(self._rows) for row in self._rows[sku] if row.holds_at(at_us)]


def read_price_book(text: str) -> PriceBook:
    """Read a price book; its format is described at the head of price_book.yaml.

    Raises:
        PriceBookError: it is not of that form, or prices of a SKU overlap in time.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        book = _Book.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise PriceBookError(f"not YAML: {error.problem}", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise PriceBookError(f"not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the book"
        raise PriceBookError(f"{place}: {first['msg']}", line_of(node, first["loc"])) from error
    _refuse_overlap(book, node)
    return _make(book)


def restore_price_book(content: str) -> PriceBook:
    """Read a book from the canonical content that it was kept as."""
    book = _Book(prices=[_Row.model_validate_json(line) for line in content.splitlines()])
    restored = _make(book)
    assert restored.content == content, "what was kept is what is read"
    return restored


def version_of(content: str) -> str:
    """Name a book by its content: equal content, equal version, whatever the order of its rows."""
    return hashlib.sha256(content.encode()).hexdigest()[:VERSION_DIGITS]


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    sku: str = Field(min_length=1, max_length=256)
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None = None
    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
    reasoning: Dollars | None = None

    def read(self, version: str) -> PriceRow:
        # A class without a price of its own costs what its kind costs. An explicit "0" is a price.
        prices = Prices(
            sku=self.sku,
            input=_nanos(self.input),
            cache_read=_nanos(self.input if self.cache_read is None else self.cache_read),
            cache_write=_nanos(self.input if self.cache_write is None else self.cache_write),
            output=_nanos(self.output),
            reasoning=_nanos(self.output if self.reasoning is None else self.reasoning),
            book_version=version,
        )
        return PriceRow(prices, to_us(self.valid_from), _to_us_or_none(self.valid_to))


class _Book(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    prices: list[_Row] = Field(max_length=ROWS_MAX)


def _nanos(dollars: str) -> int:
    whole, _, fraction = dollars.partition(".")
    return int(whole + fraction.ljust(9, "0"))


def _to_us_or_none(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)


def _content(book: _Book) -> str:
    """Write a book in one way only, a row a line."""
    return "\n".join(sorted(json.dumps(row.model_dump(mode="json"), sort_keys=True) for row in book.prices))


def _make(book: _Book) -> PriceBook:
    content = _content(book)
    rows = [row.read(version_of(content)) for row in book.prices]
    return PriceBook(content, sorted(rows, key=lambda row: (row.prices.sku, row.valid_from_us)))


def _refuse_overlap(book: _Book, node: yaml.Node | None) -> None:
    placed = sorted(enumerate(book.prices), key=lambda placed: (placed[1].sku, placed[1].valid_from))
    for place, row in placed:
        if row.valid_to is not None and row.valid_to <= row.valid_from:
            raise PriceBookError(f"{row.sku!r} ends before it begins", line_of(node, ("prices", place)))
    for (earlier_place, earlier), (place, later) in pairwise(placed):
        if earlier.sku == later.sku and (earlier.valid_to is None or later.valid_from < earlier.valid_to):
            other = line_of(node, ("prices", earlier_place))
            raise PriceBookError(
                f"prices of {later.sku!r} overlap in time with those of line {other}",
                line_of(node, ("prices", place)),
            )
