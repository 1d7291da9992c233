"""Detectors: one module for each kind of thing that is looked for."""

from penstock_guardrail.detectors.assignment import AssignmentDetector
from penstock_guardrail.detectors.card import CardDetector
from penstock_guardrail.detectors.cloud import CloudDetector
from penstock_guardrail.detectors.crypto import CryptoDetector
from penstock_guardrail.detectors.date import DateDetector
from penstock_guardrail.detectors.detector import (
    LOOKBEHIND_CHARACTERS_MAX,
    MATCH_CHARACTERS_MAX,
    Candidate,
    Detector,
    recognizer,
)
from penstock_guardrail.detectors.email import EmailDetector
from penstock_guardrail.detectors.health import HealthDetector
from penstock_guardrail.detectors.iban import IbanDetector
from penstock_guardrail.detectors.ip import IpDetector
from penstock_guardrail.detectors.jwt import JwtDetector
from penstock_guardrail.detectors.labelled import LabelledDetector
from penstock_guardrail.detectors.mac import MacDetector
from penstock_guardrail.detectors.name import NameDetector
from penstock_guardrail.detectors.national_id import NationalIdDetector
from penstock_guardrail.detectors.phone import PhoneDetector
from penstock_guardrail.detectors.private_key import PrivateKeyDetector
from penstock_guardrail.detectors.secret import SecretDetector
from penstock_guardrail.detectors.ssn import SsnDetector
from penstock_guardrail.detectors.url import UrlDetector
from penstock_guardrail.detectors.url_password import UrlPasswordDetector

__all__ = [
    "LOOKBEHIND_CHARACTERS_MAX",
    "MATCH_CHARACTERS_MAX",
    "Candidate",
    "Detector",
    "NameDetector",
    "all_detectors",
    "recognizer",
]


def all_detectors() -> list[Detector]:
    """Make one of each; where two find the same characters the earlier one names them."""
    return [
        PrivateKeyDetector(),
        JwtDetector(),
        SecretDetector(),
        UrlPasswordDetector(),
        LabelledDetector(),
        NationalIdDetector(),
        CardDetector(),
        IbanDetector(),
        SsnDetector(),
        CryptoDetector(),
        MacDetector(),
        IpDetector(),
        EmailDetector(),
        DateDetector(),
        PhoneDetector(),
        HealthDetector(),
        CloudDetector(),
        UrlDetector(),
        AssignmentDetector(),
    ]
