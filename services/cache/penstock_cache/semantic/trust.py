"""How strict to be with a tenant and with an entry, after what was seen to fit and what was not. Pure."""

RATE = 0.5  # log-odds by which one wrong answer moves a tenant
STRICTER_MAX = 6.0  # log-odds; with it hardly anything is answered until the next start
WRONG_MAX = 2  # after so many an entry answers no other question


class TenantTrust:
    """Keeps a tenant's share of false hits at its budget.

    Adaptive conformal inference (Gibbs and Candès, 2021): each checked answer moves the threshold up by
    RATE · (wrong − budget). Whatever the questions are, the share of wrong answers among those checked then tends to
    the budget or below. It never gets less strict than the calibration.

    Args:
        wrong_share_max: the budget.
    """

    __slots__ = ("checked", "stricter", "wrong", "wrong_share_max")

    def __init__(self, wrong_share_max: float) -> None:
        self.wrong_share_max = wrong_share_max
        self.stricter = 0.0
        self.checked = 0
        self.wrong = 0

    def observe(self, *, wrong: bool) -> None:
        """Learn from an answer that was held back at random and checked."""
        self.checked += 1
        self.wrong += wrong
        self.stricter = min(STRICTER_MAX, max(0.0, self.stricter + RATE * (wrong - self.wrong_share_max)))


class EntryTrust:
    """Raises what is asked of one entry when it was wrong, and lowers it a little for each time it was right."""

    __slots__ = ("stricter", "wrong")

    def __init__(self) -> None:
        self.stricter = 0.0
        self.wrong = 0

    def observe(self, *, wrong: bool) -> bool:
        """Learn from a verdict; tell whether the entry may still answer other questions."""
        self.wrong += wrong
        self.stricter = self.stricter + 1.0 if wrong else max(-0.5, self.stricter - 0.1)
        return self.wrong < WRONG_MAX
