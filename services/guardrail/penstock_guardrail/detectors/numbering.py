"""Numbering plans (ITU-T E.164) of all regions, read from libphonenumber's metadata.

Its parser is made for whatever people type. Here the digits are known already, and a plan tells in a fifth of the time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

_CODE_DIGITS_MAX = 3
_KINDS = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)
_NON_GEOGRAPHIC = "001"


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of one region.

    Args:
        numbers: those that may be given to somebody, without a trunk prefix.
        lengths: how many digits they may have.
        trunk: what may stand before a number inside the region, nothing where `None`.
        rewritten: what a trunk prefix with digits of the number in it is replaced by.
    """

    numbers: re.Pattern[str]
    lengths: frozenset[int]
    trunk: re.Pattern[str] | None
    rewritten: str | None

    def has(self, digits: str) -> bool:
        """Tell whether these are a number of the plan, with a trunk prefix or without."""
        return any(self.numbers.fullmatch(each) is not None for each in self._readings(digits))

    def has_length(self, digits: str) -> bool:
        """Tell whether a number of the plan may be so long, with a trunk prefix or without."""
        return any(len(each) in self.lengths for each in self._readings(digits))

    def _readings(self, digits: str) -> Iterator[str]:
        yield digits
        prefix = self.trunk.match(digits) if self.trunk is not None else None
        if prefix is None:
            return
        groups = prefix.groups()
        if self.rewritten is not None and groups and groups[-1] is not None:
            yield prefix.expand(self.rewritten) + digits[prefix.end() :]
        else:
            yield digits[prefix.end() :]


@cache
def plan_of(region: str) -> Plan:
    """Give the plan of a region by its ISO 3166 code: made when it is first asked for."""
    return _plan(_library().PhoneMetadata.metadata_for_region(region))


@cache
def plans_of(code: int) -> tuple[Plan, ...]:
    """Give the plans that share a country calling code, the main one first; none has it: nothing."""
    library = _library()
    regions = library.COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    if regions == (_NON_GEOGRAPHIC,):
        return (_plan(library.PhoneMetadata.metadata_for_nongeo_region(code)),)
    return tuple(map(plan_of, regions))


def split_code(digits: str) -> tuple[int, str] | None:
    """Part an international number into its country calling code and the rest. No code begins another."""
    if digits and not digits.startswith("0"):
        for length in range(1, _CODE_DIGITS_MAX + 1):
            if plans_of(int(digits[:length])):
                return int(digits[:length]), digits[length:]
    return None


def _plan(metadata: Any) -> Plan:
    general = metadata.general_desc
    kinds = (getattr(metadata, kind) for kind in _KINDS)
    patterns = [kind.national_number_pattern for kind in kinds if kind is not None]
    either = "|".join(pattern for pattern in patterns if pattern)
    trunk = metadata.national_prefix_for_parsing
    return Plan(
        re.compile(rf"(?=(?:{general.national_number_pattern})\Z)(?:{either})"),
        frozenset((*general.possible_length, *general.possible_length_local_only)),
        re.compile(trunk) if trunk else None,
        metadata.national_prefix_transform_rule,
    )


def _library() -> Any:
    """Give the metadata: 50 ms and 10 MB that texts without numbers never pay."""
    return import_module("phonenumbers")
