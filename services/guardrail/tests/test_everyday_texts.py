"""Personal data as people and programs write it: chats, logs, JSON, tables, in the forms of many countries."""

import pytest
from penstock_guardrail.cutter import Cutter

PERSONAL = {
    "PHONE_NUMBER": [
        ("hey its 0044 7911 123456 if u need me", "0044 7911 123456"),
        ("wa.me +55 11 91234-5678 ou liga", "+55 11 91234-5678"),
        ("मेरा नंबर +91 98765 43210 है", "+91 98765 43210"),
        ("电话：+86 138 0013 8000", "+86 138 0013 8000"),
        ("携帯は090-1234-5678です", "090-1234-5678"),
        ('{"phone":"+33 6 12 34 56 78","ok":true}', "+33 6 12 34 56 78"),
        ("Tel:+390669812345;fax", "+390669812345"),
        ("msisdn=+254712345678 status=sent", "+254712345678"),
        ("ring me on (020) 7946 0958 x12", "(020) 7946 0958 x12"),
        ("phone: 1-800-555-0199", "1-800-555-0199"),
        ("Kontakt 0664 1234567", "0664 1234567"),
        ("numer telefonu: 601 234 567", "601 234 567"),
        ("telefon 08-123 456 78", "08-123 456 78"),
        ("тел. +7 (495) 123-45-67", "+7 (495) 123-45-67"),
    ],
    "EMAIL_ADDRESS": [
        ("2026-03-04T05:06:07Z INFO login user=ann.lee@corp.example ip=203.0.113.9", "ann.lee@corp.example"),
        ("mail hans.müller@bücher.de!", "hans.müller@bücher.de"),
        ("cc: <o'brien@mail.example.ie>,", "o'brien@mail.example.ie"),
        ("ann＠example．com", "ann＠example．com"),
    ],
    "IP_ADDRESS": [
        ("2026-03-04T05:06:07Z INFO login user=ann.lee@corp.example ip=203.0.113.9", "203.0.113.9"),
        ("client [2001:db8:85a3::8a2e:370:7334] closed", "2001:db8:85a3::8a2e:370:7334"),
    ],
    "CREDIT_CARD": [
        ('"card","4111-1111-1111-1111","12/29"', "4111-1111-1111-1111"),
        ("pan=5555555555554444&cvv=123", "5555555555554444"),
        ("<pan>378282246310005</pan>", "378282246310005"),
        ("карта 2200 0000 0000 0004 истекает", "2200 0000 0000 0004"),
    ],
    "IBAN_CODE": [
        ("IBAN: DE89 3704 0044 0532 0130 00.", "DE89 3704 0044 0532 0130 00"),
        ("zahl auf gb29nwbk60161331926819 bitte", "gb29nwbk60161331926819"),
        ("iban=FR1420041010050500013M02606;", "FR1420041010050500013M02606"),
        ("account NL91ABNA0417164300|EUR|12.50", "NL91ABNA0417164300"),
    ],
    "MAC_ADDRESS": [
        ("mac=00:1B:44:11:3A:B7 rssi=-60", "00:1B:44:11:3A:B7"),
    ],
    "CRYPTO_ADDRESS": [
        ("send to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 pls", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("pay bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq now", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
    ],
    "US_SSN": [
        ("ssn,078-05-1120,active", "078-05-1120"),
        ("My social is 219 09 9999", "219 09 9999"),
    ],
    "NATIONAL_ID": [
        ("CPF 529.982.247-25", "529.982.247-25"),
        ("NIE: X1234567L", "X1234567L"),
        ("dni 12345678Z", "12345678Z"),
        ("codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("PESEL 44051401359", "44051401359"),
        ("BSN 111222333", "111222333"),
        ("AHV 756.9217.0769.85", "756.9217.0769.85"),
        ("personnummer 811228-9874", "811228-9874"),
        ("hetu 131052-308T", "131052-308T"),
        ("NHS number 943 476 5919", "943 476 5919"),
        ("SIN 123 456 782", "123 456 782"),
        ("身份证 11010519491231002X", "11010519491231002X"),
        ("RUT 12.345.678-5", "12.345.678-5"),
        ("Steuer-ID 86095742719", "86095742719"),
        ("CURP HEGG560427MVZRRL04", "HEGG560427MVZRRL04"),
    ],
    "DATE_OF_BIRTH": [
        ("geb. 12.03.1985 in", "12.03.1985"),
        ("née le 4 mars 1990", "4 mars 1990"),
        ("fecha de nacimiento: 1990-07-23", "1990-07-23"),
        ('{"dob":"1984-02-29"}', "1984-02-29"),
        ('"date_of_birth": "03/04/1971"', "03/04/1971"),
        ("nato il 3 aprile 1971", "3 aprile 1971"),
        ("geboren am 3. Mai 1971", "3. Mai 1971"),
        ("geboortedatum 03-04-1971", "03-04-1971"),
        ("DOB 14 Feb 1999", "14 Feb 1999"),
        ("data de nascimento 14/02/1999", "14/02/1999"),
    ],
    "PASSPORT": [
        ("Reisepass C01X00T47", "C01X00T47"),
        ("passport no. 123456789", "123456789"),
        ("numero de pasaporte: AAB123456", "AAB123456"),
    ],
    "VEHICLE_ID": [
        ("VIN 1HGCM82633A004352", "1HGCM82633A004352"),
    ],
    "MEDICAL_RECORD_NUMBER": [
        ("MRN: 00482913", "00482913"),
    ],
    "BIC": [
        ("SWIFT/BIC: DEUTDEFF500", "DEUTDEFF500"),
    ],
}
NOBODYS = [
    "build 20260304.17 passed in 12.345 s",
    "order 4711-2026-0003 shipped",
    "chapter 3.4.12.1 of the manual",
    "ISBN 978-3-16-148410-0",
    "version 2.10.0-rc1",
    "score 6-3 6-4 7-5",
    "GET /v1/items/4111 HTTP/1.1 200 1234",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "latitude 52.520008, longitude 13.404954",
    "EAN 4006381333931",
    "room 12-34, seats 5 6 7 8 9 10",
    "x = [10, 20, 30, 40, 50, 60]",
    "0x7fff5fbff8c8",
    "2026-03-04 05:06:07,123",
    "1,234,567.89 EUR",
    "DOI 10.1000/182",
    "RFC 9162 section 2.1.3.1",
    "00000000-0000-4000-8000-000000000000",
    "port 8080 -> 192",
    "a::b::c",
    "tel aviv 2024-2025",
    "00 12 34 56",
    "0000 0000 0000 0000",
]


@pytest.fixture
def find(rules):
    """Give what is believed, but for names, dates and addresses of the web."""

    def found(text):
        pieces = [piece for piece in Cutter(rules.incoming).finish(text) if piece.found is not None]
        believed = [piece for piece in pieces if piece.found.confidence >= rules.policy.confidence_min]
        return [(piece.found.type, piece.text) for piece in believed if not piece.found.yields]

    return found


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [(kind, *example) for kind, examples in PERSONAL.items() for example in examples],
)
def test_personal_data_is_found_in_the_forms_of_its_country(find, kind, text, value):
    assert (kind, value) in find(text)


@pytest.mark.parametrize("text", NOBODYS)
def test_what_programs_and_books_number_is_nobodys(find, text):
    assert find(text) == []
