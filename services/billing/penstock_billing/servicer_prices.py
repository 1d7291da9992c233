"""PriceService: wire to the price book, and back."""

from typing import Any

from penstock.billing.v1 import price_service_pb2, price_service_pb2_grpc

from penstock_billing import wire
from penstock_billing.clock import Clock, from_timestamp, to_us
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.prices import PriceBook


class PriceServicer(price_service_pb2_grpc.PriceServiceServicer):
    """The price book."""

    def __init__(self, prices: PriceBook, clock: Clock) -> None:
        self._prices = prices
        self._clock = clock

    async def ListPrices(
        self, request: price_service_pb2.ListPricesRequest, _context: Any
    ) -> price_service_pb2.ListPricesResponse:
        """Give a page of prices."""
        asked = [self._prices.version, str(request.as_of_time)]
        at_us = from_timestamp(request.as_of_time) if request.HasField("as_of_time") else to_us(self._clock())
        # What holds now stays the question while a caller pages.
        began_us, after_sku = read_token(request.page_token, asked, [int, str]) or [at_us, ""]
        size = page_size(request.page_size)
        found = [prices for prices in self._prices.all_at(int(began_us)) if prices.sku > str(after_sku)]
        response = price_service_pb2.ListPricesResponse(prices=map(wire.write_prices, found[:size]))
        if len(found) > size:
            response.next_page_token = write_token([began_us, found[size - 1].sku], asked)
        return response
