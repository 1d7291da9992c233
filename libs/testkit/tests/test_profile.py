import time

from hypothesis import given
from hypothesis import strategies as st


def test_no_example_is_a_matter_of_chance_or_of_speed() -> None:
    assert examples(slowly=False) == examples(slowly=True) != []


def examples(*, slowly: bool) -> list[int]:
    tried: list[int] = []

    @given(st.integers())
    def try_one(number: int) -> None:
        if slowly and not tried:
            time.sleep(0.3)  # longer than Hypothesis allows by itself
        tried.append(number)

    try_one()
    return tried
