"""Charges as rows of FOCUS, the FinOps Open Cost and Usage Specification, version 1.2 (focus.finops.org)."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from penstock_billing.budget import LONGEST_MONTH_US
from penstock_billing.clock import DAY_US, month_start_us, rfc3339
from penstock_billing.money_text import decimal, dollars
from penstock_billing.prices import Prices

VERSION = "1.2"
# All of the specification's columns, in its order, then ours.
COLUMNS = (
    *("AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
    *("BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "CapacityReservationId"),
    *("CapacityReservationStatus", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency"),
    *("ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId"),
    *("CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus"),
    *("CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit"),
    *("ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost"),
    *("ListUnitPrice", "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice"),
    *("PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName"),
    *("ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter"),
    *("SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags"),
    *("x_ApiKey", "x_AvoidedCost", "x_Endpoint", "x_Operations", "x_PriceBook", "x_User"),
)
PROVIDER = "Penstock"
METERS = (
    ("input_tokens", "input", "Input Tokens"),
    ("cache_read_tokens", "cache_read", "Cache Read Tokens"),
    ("cache_write_tokens", "cache_write", "Cache Write Tokens"),
    ("output_tokens", "output", "Output Tokens"),
    ("reasoning_tokens", "reasoning", "Reasoning Tokens"),
)
# A price of nano-dollars for 1,000,000 tokens is so many digits below a dollar for one.
UNIT_PRICE_DIGITS = 15
# Half a nano-dollar a line, in the same unit, is what rounding may have moved.
ROUNDING = 500_000


@dataclass(frozen=True, slots=True)
class Charge:
    """What one day of postings came to, of one price and one payer."""

    organization: str
    start_us: int
    sku: str
    book_version: str
    endpoint: str
    team_id: str
    user_id: str
    api_key_id: str
    operations: int
    attempts: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    avoided_cost_nanos: int


def write_csv(rows: Iterable[Mapping[str, str]], *, header: bool) -> str:
    """Write rows; what a row does not have is null, an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def charge_rows(charge: Charge, prices: Prices | None, invoice_id: str) -> Iterator[dict[str, str]]:
    """Write a charge: a row for each token class, whose costs sum to its own.

    Where prices do not explain the cost, because nothing was priced or the price changed within the day, it is one row
    without unit prices.
    """
    common = _common(charge, invoice_id)
    used = [(getattr(charge, field), meter, name) for field, meter, name in METERS if getattr(charge, field)]
    if prices is None or not used or not _explains(charge, prices):
        yield common | _cost(charge.cost_nanos) | _quantity(sum(tokens for tokens, _, _ in used))
        return
    costs = _split([tokens * getattr(prices, meter) for tokens, meter, _ in used], charge.cost_nanos)
    for place, ((tokens, meter, name), nanos) in enumerate(zip(used, costs, strict=True)):
        price = decimal(getattr(prices, meter), UNIT_PRICE_DIGITS)
        row = common | _cost(nanos) | _quantity(tokens)
        row |= dict.fromkeys(("ListUnitPrice", "ContractedUnitPrice"), price)
        row |= dict.fromkeys(("PricingCurrencyListUnitPrice", "PricingCurrencyContractedUnitPrice"), price)
        row |= {"SkuMeter": name, "SkuPriceId": f"{charge.sku}/{meter}@{charge.book_version}"}
        if place:  # what is not of a token class is told once
            row |= {"x_Operations": "0", "x_AvoidedCost": "0"}
        yield row


def credit_row(organization: str, note_id: str, create_us: int, nanos: int) -> dict[str, str]:
    """Write a credit note; `nanos` is negative."""
    day_us = create_us // DAY_US * DAY_US
    return (
        _periods(organization, day_us)
        | _cost(nanos)
        | {
            "ChargeCategory": "Credit",
            "ChargeClass": "Correction",
            "ChargeDescription": f"Credit note {note_id}",
            "ChargeFrequency": "One-Time",
            "InvoiceId": note_id,
        }
    )


def _common(charge: Charge, invoice_id: str) -> dict[str, str]:
    team = {"SubAccountId": charge.team_id, "SubAccountName": charge.team_id, "SubAccountType": "Team"}
    return (
        _periods(charge.organization, charge.start_us)
        | (team if charge.team_id else {})
        | {
            "ChargeCategory": "Usage",
            "ChargeDescription": f"{charge.sku} at {charge.endpoint or 'no endpoint'}",
            "ChargeFrequency": "Usage-Based",
            "InvoiceId": invoice_id,
            "PricingCategory": "Standard",
            "ResourceId": charge.sku,
            "ResourceName": charge.sku,
            "ResourceType": "Model",
            "SkuId": charge.sku,
            "x_ApiKey": charge.api_key_id,
            "x_AvoidedCost": dollars(charge.avoided_cost_nanos),
            "x_Endpoint": charge.endpoint,
            "x_Operations": str(charge.operations),
            "x_PriceBook": charge.book_version,
            "x_User": charge.user_id,
        }
    )


def _periods(organization: str, day_us: int) -> dict[str, str]:
    month_us = month_start_us(day_us)
    return {
        "BillingAccountId": organization,
        "BillingAccountName": organization,
        "BillingAccountType": "Organization",
        "BillingCurrency": "USD",
        "BillingPeriodStart": rfc3339(month_us),
        "BillingPeriodEnd": rfc3339(month_start_us(month_us + LONGEST_MONTH_US)),
        "ChargePeriodStart": rfc3339(day_us),
        "ChargePeriodEnd": rfc3339(day_us + DAY_US),
        "InvoiceIssuerName": PROVIDER,
        "PricingCurrency": "USD",
        "ProviderName": PROVIDER,
        "PublisherName": PROVIDER,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": PROVIDER,
        "ServiceSubcategory": "Generative AI",
    }


def _cost(nanos: int) -> dict[str, str]:
    names = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost", "PricingCurrencyEffectiveCost")
    return dict.fromkeys(names, dollars(nanos))


def _quantity(tokens: int) -> dict[str, str]:
    return {
        "ConsumedQuantity": str(tokens),
        "ConsumedUnit": "Tokens",
        "PricingQuantity": str(tokens),
        "PricingUnit": "Tokens",
    }


def _explains(charge: Charge, prices: Prices) -> bool:
    exact: int = sum(getattr(charge, field) * getattr(prices, meter) for field, meter, _ in METERS)
    return abs(exact - charge.cost_nanos * 1_000_000) <= abs(charge.attempts) * ROUNDING


def _split(exact: list[int], total_nanos: int) -> list[int]:
    """Cut each to nano-dollars; what rounding left goes to the largest."""
    nanos = [value // 1_000_000 for value in exact]
    nanos[exact.index(max(exact))] += total_nanos - sum(nanos)
    return nanos
