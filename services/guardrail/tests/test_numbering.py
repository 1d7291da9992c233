"""Numbering plans: the same answers as libphonenumber's own parser gives."""

import phonenumbers
import pytest
from penstock_guardrail.detectors.numbering import plan_of, plans_of, split_code

EXAMPLES = [
    example
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in phonenumbers.PhoneNumberType.values()
    if (example := phonenumbers.example_number_for_type(region, kind)) is not None
]


def is_valid(digits: str) -> bool:
    code, number = split_code(digits)
    return any(plan.has(number) for plan in plans_of(code))


def e164(number) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def test_the_example_of_every_kind_of_number_of_every_region_is_valid():
    assert len(EXAMPLES) > 1000
    assert [example for example in EXAMPLES if not is_valid(e164(example))] == []


def test_numbers_beside_the_examples_are_valid_where_the_library_says_so():
    digits = [e164(example) for example in EXAMPLES]
    others = [f"{each[:-2]}{last}{each[-1]}" for each in digits for last in "0258"]
    theirs = [phonenumbers.is_valid_number(phonenumbers.parse(f"+{each}")) for each in others]
    differ = [each for each, said in zip(others, theirs, strict=True) if is_valid(each) != said]
    assert len(set(theirs)) == 2
    # It takes "+1 310 1234", a number of Canada without an area code, for one of the United States.
    assert all(each.startswith("1") and len(each) == 8 for each in differ)


@pytest.mark.parametrize(
    ("region", "digits"),
    [("FR", "0170189900"), ("GB", "02079460958"), ("BR", "01121234567"), ("AU", "0293744000")],
)
def test_a_trunk_prefix_belongs_to_a_number_where_the_region_has_one(region, digits):
    assert plan_of(region).has(digits)
    assert plan_of(region).has_length(digits)
    assert not plan_of(region).has(f"{digits}1234")


def test_country_calling_codes_are_told_from_what_has_none():
    assert split_code("4930901820") == (49, "30901820")
    assert split_code("88213300655") == (882, "13300655")
    assert [split_code(digits) for digits in ("", "0", "049301234", "9991234567")] == [None] * 4
