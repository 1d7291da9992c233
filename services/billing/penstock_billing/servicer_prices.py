"""PriceService: wire to the price books, and back."""

from functools import partial
from typing import Any

from penstock.billing.v1 import price_service_pb2, price_service_pb2_grpc
from servicekit.errors import InvalidArgument, PermissionDenied

from penstock_billing import resources, wire
from penstock_billing.clock import Clock, from_timestamp, to_timestamp, to_us
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.price_store import KeptBook, get_price_book, import_price_book, list_price_books
from penstock_billing.price_watch import PriceWatch
from penstock_billing.prices import PriceBook, PriceBookError, read_price_book
from penstock_billing.transactions import Transactions


class PriceServicer(price_service_pb2_grpc.PriceServiceServicer):
    """The price book in force, and those that were; the operator's organization may bring another."""

    def __init__(self, transactions: Transactions, watch: PriceWatch, clock: Clock, operator: str) -> None:
        self._transactions = transactions
        self._watch = watch
        self._clock = clock
        self._operator = operator

    async def ListPrices(
        self, request: price_service_pb2.ListPricesRequest, _context: Any
    ) -> price_service_pb2.ListPricesResponse:
        """Give a page of prices."""
        book = self._watch.book
        asked = [book.version, str(request.as_of_time)]
        at_us = from_timestamp(request.as_of_time) if request.HasField("as_of_time") else to_us(self._clock())
        # What holds now stays the question while a caller pages.
        began_us, after_sku = read_token(request.page_token, asked, [int, str]) or [at_us, ""]
        size = page_size(request.page_size)
        found = [prices for prices in book.all_at(int(began_us)) if prices.sku > str(after_sku)]
        response = price_service_pb2.ListPricesResponse(prices=map(wire.write_prices, found[:size]))
        if len(found) > size:
            response.next_page_token = write_token([began_us, found[size - 1].sku], asked)
        return response

    async def ImportPriceBook(
        self, request: price_service_pb2.ImportPriceBookRequest, _context: Any
    ) -> price_service_pb2.ImportPriceBookResponse:
        """Put a book in force, here at once."""
        if resources.read_parent(request.parent) != self._operator:
            raise PermissionDenied(
                "PERMISSION_DENIED",
                "Only who operates this installation imports prices.",
                metadata={"operation": "ImportPriceBook"},
            )
        book = _read(request.content)
        now_us = to_us(self._clock())
        if request.validate_only:
            kept = KeptBook(book.version, book.content, now_us, 0, in_force=False)
        else:
            kept = await self._transactions.write(partial(import_price_book, book=book, now_us=now_us))
            await self._watch.look()
        return price_service_pb2.ImportPriceBookResponse(price_book=_write(kept))

    async def ListPriceBooks(
        self, request: price_service_pb2.ListPriceBooksRequest, _context: Any
    ) -> price_service_pb2.ListPriceBooksResponse:
        """Give a page of books."""
        before = read_token(request.page_token, [], [int, str])
        size = page_size(request.page_size)
        books = await self._transactions.read(partial(list_price_books, before=before, items_max=size + 1))
        response = price_service_pb2.ListPriceBooksResponse(price_books=map(_write, books[:size]))
        if len(books) > size:
            last = books[size - 1]
            response.next_page_token = write_token([last.load_us, last.version], [])
        return response

    async def GetPriceBook(
        self, request: price_service_pb2.GetPriceBookRequest, _context: Any
    ) -> price_service_pb2.GetPriceBookResponse:
        """Give a book with its rows."""
        kept = await self._transactions.read(partial(get_price_book, version=request.version))
        book = _write(kept)
        book.content = kept.content
        return price_service_pb2.GetPriceBookResponse(price_book=book)


def _read(content: str) -> PriceBook:
    try:
        return read_price_book(content)
    except PriceBookError as error:
        metadata = {"field": "content", "line": str(error.line)}
        raise InvalidArgument("INVALID_ARGUMENT", f"Bad price book: {error}.", metadata=metadata) from error


def _write(kept: KeptBook) -> price_service_pb2.PriceBook:
    book = price_service_pb2.PriceBook(
        version=kept.version,
        create_time=to_timestamp(kept.load_us),
        in_force=kept.in_force,
        rows=kept.rows,
    )
    if kept.activate_us:
        book.activate_time.CopyFrom(to_timestamp(kept.activate_us))
    return book
