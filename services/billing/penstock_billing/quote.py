"""The worst case of an operation, and how many tokens a balance buys."""

from collections.abc import Sequence

from servicekit.money import TOKENS_PER_PRICE, ceiling_nanos

from penstock_billing.prices import Prices


class Quote:
    """What an operation may cost at the dearest of its SKUs.

    A SKU's worst case is the whole prompt at its dearest prompt class and every token of every answer at its dearest
    answer class, rounded up to a nano-dollar: whichever way the tokens fall, and whichever SKU serves, settling costs
    no more.
    """

    def __init__(self, prices: Sequence[Prices], prompt_tokens: int, answers: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._answers = answers
        # A SKU as dear as another in both classes never decides; equal pairs are kept once.
        self._rates = {
            (max(sku.input, sku.cache_read, sku.cache_write), max(sku.output, sku.reasoning))
            for sku in prices
        }

    def worst_nanos(self, max_tokens: int) -> int:
        """Give what may be spent when no answer is longer than `max_tokens`."""
        tokens = self._answers * max_tokens
        return max(
            ceiling_nanos(((self._prompt_tokens, input_price), (tokens, output_price)))
            for input_price, output_price in self._rates
        )

    def tokens_within(self, available_nanos: int, max_tokens: int) -> int:
        """Give the longest answers, to `max_tokens`, whose worst case is within what is available; negative: none is.

        It inverts `worst_nanos` exactly. With P prompt tokens, n answers and prices i and o for 10^6 tokens, of each
        SKU m <= floor((available * 10^6 - P * i) / (n * o)).
        """
        for input_price, output_price in self._rates:
            rest = available_nanos * TOKENS_PER_PRICE - self._prompt_tokens * input_price
            if rest < 0:
                return -1
            if output_price:
                max_tokens = min(max_tokens, rest // (self._answers * output_price))
        return max_tokens
