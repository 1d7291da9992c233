"""Texts that tokenizers cut wrongly when something is missing in them."""

import random

AWKWARD = [
    "",
    " ",
    "   ",
    "\n\n\n",
    " leading and trailing  ",
    "a\r\nb\tc\x00d\x7f",
    "non\u00a0breaking\u3000ideographic\u2028line",
    "1234567890 3.14159 1,000,000 0x1F 2026-11-21",
    "don't I'LL they've WE'RE it's",
    "naïve café — “quoted” … «guillemets»",
    "e\u0301 combining, a\u0308 too",
    "日本語のテキスト、中文文本。 한국어",
    "العربية עברית हिन्दी ไทย",
    "👩‍👩‍👧‍👦🏳️‍🌈👍🏽 emoji",
    "def f(x):\n    return {'a': [x ** 2]}  # comment\n",
    "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "<|im_sta <|endoftext|><|endoftext|> im_end|>",
    "x" * 500,
    "ꙮ 𝕳𝖊𝖑𝖑𝖔 \U0010ffff",
]


def mixtures(count: int) -> list[str]:
    """Join random pieces of awkward text. Digits are left out: transformers does not read that part of GGUF."""
    rng = random.Random(20261121)
    pieces = [text for text in AWKWARD if not any(letter.isnumeric() for letter in text)]
    return ["".join(rng.choice(pieces)[: rng.randrange(1, 12)] for _ in range(20)) for _ in range(count)]
