"""The price book: exact, immutable, and refused when it is not certain."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penstock_billing.clock import to_us
from penstock_billing.prices import PriceBook, PriceBookError, read_price_book
from penstock_billing.settings import DEFAULT_PRICE_BOOK
from servicekit.errors import FailedPrecondition

NOW = to_us(datetime(2026, 1, 1, tzinfo=UTC))


def book(*rows: str) -> PriceBook:
    return read_price_book("prices:\n" + "\n".join(f"  - {{{row}}}" for row in rows))


def row(
    sku: str = "s",
    prompt: str = '"1"',
    answer: str = '"2"',
    since: str = "2025-01-01T00:00:00Z",
    more: str = "",
) -> str:
    return f"sku: {sku}, valid_from: {since}, input: {prompt}, output: {answer}{more}"


def test_the_book_we_ship_prices_what_we_serve() -> None:
    shipped = read_price_book(DEFAULT_PRICE_BOOK.read_text())
    assert [prices.sku for prices in shipped.all_at(NOW)] == [
        "bench-upstream/gpt-4o-mini",
        "inference/all-minilm-l6-v2",
        "inference/smollm2-135m-instruct",
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
    ]
    chat = shipped.find("inference/smollm2-135m-instruct", NOW)
    assert (chat.input, chat.cache_read, chat.output) == (20_000_000, 2_000_000, 40_000_000)
    assert shipped.find("inference/all-minilm-l6-v2", NOW).output == 0


@given(st.integers(0, 10**14 - 1))
def test_a_decimal_is_read_to_the_nano_dollar(nanos: int) -> None:
    whole, fraction = divmod(nanos, 10**9)
    assert book(row(prompt=f'"{whole}.{fraction:09}"')).find("s", NOW).input == nanos


@pytest.mark.parametrize(
    "price",
    [
        "0.1",
        "1",
        '"-1"',
        '"1e3"',
        '"0.0000000001"',
        '"100000"',
        '".5"',
        '"1."',
        '"NaN"',
        '""',
        "null",
        '"1,5"',
    ],
)
def test_what_is_not_an_exact_decimal_in_quotes_is_refused(price: str) -> None:
    with pytest.raises(PriceBookError):
        book(row(prompt=price))


def test_a_class_without_a_price_costs_what_its_kind_costs_and_an_explicit_zero_stays_zero() -> None:
    implied = book(row()).find("s", NOW)
    assert (implied.cache_read, implied.cache_write, implied.reasoning) == (10**9, 10**9, 2 * 10**9)
    explicit = book(row(more=', cache_read: "0", cache_write: "0", reasoning: "0"')).find("s", NOW)
    assert (explicit.cache_read, explicit.cache_write, explicit.reasoning) == (0, 0, 0)
    assert (explicit.input, explicit.output) == (10**9, 2 * 10**9)


def test_prices_hold_from_their_beginning_until_before_their_end() -> None:
    changing = book(
        row(prompt='"1"', more=", valid_to: 2026-01-01T00:00:00Z"),
        row(prompt='"3"', since="2026-01-01T00:00:00Z"),
    )
    assert changing.find("s", NOW - 1).input == 10**9
    assert changing.find("s", NOW).input == 3 * 10**9


def test_an_unknown_price_is_an_error_and_never_zero() -> None:
    with pytest.raises(FailedPrecondition, match="PRICE_UNKNOWN"):
        book(row()).find("t", NOW)
    with pytest.raises(FailedPrecondition, match="PRICE_UNKNOWN"):
        book(row(since="2027-01-01T00:00:00Z")).find("s", NOW)
    with pytest.raises(FailedPrecondition, match="PRICE_UNKNOWN"):
        book(row(more=", valid_to: 2025-06-01T00:00:00Z")).find("s", NOW)


@pytest.mark.parametrize(
    "rows",
    [
        (row(), row()),
        (row(), row(since="2026-01-01T00:00:00Z")),
        (row(more=", valid_to: 2026-01-01T00:00:01Z"), row(since="2026-01-01T00:00:00Z")),
        (row(more=", valid_to: 2025-01-01T00:00:00Z"),),
        (row(more=", valid_to: 2024-01-01T00:00:00Z"),),
    ],
)
def test_overlapping_or_inverted_validity_is_refused(rows: tuple[str, ...]) -> None:
    with pytest.raises(PriceBookError):
        book(*rows)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "prices: 1",
        "prices: [",
        "{}",
        "prices: [{sku: s}]",
        "price: []",
        f"prices: [{{{row(more=', n: 1')}}}]",
    ],
)
def test_what_is_not_a_price_book_is_refused(text: str) -> None:
    with pytest.raises(PriceBookError):
        read_price_book(text)


def test_a_time_without_its_zone_is_refused() -> None:
    with pytest.raises(PriceBookError):
        book(row(since="2025-01-01T00:00:00"))


def test_the_version_is_that_of_the_content() -> None:
    assert book(row("a"), row("b")).version == book(row("b"), row("a")).version
    assert book(row("a")).version != book(row("a", prompt='"1.000000001"')).version
    assert book(row("a")).find("a", NOW).book_version == book(row("a")).version
