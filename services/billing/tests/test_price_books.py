"""Price books: imported, immutable, in force on every replica, pinned with what was admitted."""

from typing import Any

import pytest
from penstock.billing.v1 import price_service_pb2 as prices_pb2
from servicekit.errors import from_rpc_error

DEARER = """
prices:
  - {sku: test/model, valid_from: 2025-01-01T00:00:00Z, input: "3", output: "4"}
"""
OPERATOR = "organizations/dev"


async def test_an_imported_book_prices_what_is_admitted_from_then_on(billing: Any) -> None:
    await billing.authorize("before", prompt_tokens=1, max_tokens=1)
    book = await _import(billing, DEARER)
    assert (book.in_force, book.rows) == (True, 1)
    await billing.authorize("after", prompt_tokens=1, max_tokens=1)
    assert (await billing.settle("before", input=1, output=1)).cost_nanos == 3_000
    assert (await billing.settle("after", input=1, output=1)).cost_nanos == 7_000
    (line,) = await billing.records("after")
    assert line.book_version == book.version


async def test_another_replica_uses_it_within_two_seconds(start: Any, tools: Any, postgres_url: str) -> None:
    async with (
        start(database_url=postgres_url) as (one, _),
        start(database_url=postgres_url) as (two, _),
    ):
        book = await _import(one, DEARER)

        async def follows() -> bool:
            listed = (await two.prices.ListPrices(prices_pb2.ListPricesRequest())).prices
            return {each.book_version for each in listed} == {book.version}

        await tools.until(follows)
        await two.authorize("after", prompt_tokens=1, max_tokens=1)
        assert (await two.settle("after", input=1, output=1)).cost_nanos == 7_000


async def test_the_imported_book_outlives_a_restart_with_the_old_file(start: Any) -> None:
    async with start() as (billing, _server):
        book = await _import(billing, DEARER)
    async with start() as (billing, _server):
        assert (await _get(billing, "current")).version == book.version


async def test_an_earlier_book_can_be_put_in_force_again(start: Any, settings: Any) -> None:
    async with start() as (billing, _server):
        first = await _get(billing, "current")
        await _import(billing, DEARER)
        again = await _import(billing, settings.price_book.read_text())
        assert (again.version, again.in_force) == (first.version, True)
        listed = (await billing.prices.ListPriceBooks(prices_pb2.ListPriceBooksRequest())).price_books
        assert sorted(each.in_force for each in listed) == [False, True]


async def test_a_book_is_read_as_it_was_imported_and_books_come_in_pages(billing: Any) -> None:
    book = await _import(billing, DEARER)
    kept = await _get(billing, book.version)
    assert '"input": "3"' in kept.content
    request = prices_pb2.ListPriceBooksRequest(page_size=1)
    first = await billing.prices.ListPriceBooks(request)
    request.page_token = first.next_page_token
    second = await billing.prices.ListPriceBooks(request)
    assert {first.price_books[0].version, second.price_books[0].version} >= {book.version}
    assert second.next_page_token == ""


async def test_a_book_can_be_tried_without_effect(billing: Any) -> None:
    before = await _get(billing, "current")
    assert not (await _import(billing, DEARER, validate_only=True)).in_force
    assert (await _get(billing, "current")).version == before.version


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("prices:\n  - {sku: a, valid_from: 2025-01-01T00:00:00Z, input: 1, output: '1'}\n", 2, "input"),
        ("prices:\n  - sku: a\n    input: '1'\n    valid_from: 2025-01-01T00:00:00Z\n", 2, "output"),
        ("prices:\n  - sku: a\n  bad: [\n", 3, "not YAML"),
        (DEARER + DEARER.splitlines()[2] + "\n", 4, "line 3"),
        ("prices: {}", 1, "prices"),
    ],
)
async def test_bad_price_map_refused(billing: Any, content: str, line: int, says: str) -> None:
    before = await _get(billing, "current")
    with pytest.raises(Exception, match="Bad price book") as caught:
        await _import(billing, content)
    error = from_rpc_error(caught.value)
    assert (error.reason, error.metadata["line"]) == ("INVALID_ARGUMENT", str(line))
    assert says in error.message
    assert (await _get(billing, "current")).version == before.version


async def test_only_the_operator_imports(billing: Any, refused: Any) -> None:
    request = prices_pb2.ImportPriceBookRequest(parent="organizations/acme", content=DEARER)
    assert await refused(billing.prices.ImportPriceBook(request)) == "PERMISSION_DENIED"


async def test_a_version_that_nobody_imported_is_not_found(billing: Any, refused: Any) -> None:
    assert await refused(_get(billing, "0" * 16)) == "RESOURCE_NOT_FOUND"


async def _import(billing: Any, content: str, *, validate_only: bool = False) -> Any:
    request = prices_pb2.ImportPriceBookRequest(parent=OPERATOR, content=content, validate_only=validate_only)
    return (await billing.prices.ImportPriceBook(request)).price_book


async def _get(billing: Any, version: str) -> Any:
    return (await billing.prices.GetPriceBook(prices_pb2.GetPriceBookRequest(version=version))).price_book
