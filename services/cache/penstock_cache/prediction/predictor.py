"""The chains of all organizations, each by itself. Pure."""

from collections import OrderedDict

from penstock_cache.entry import Selector
from penstock_cache.prediction.chain import Chain, LaneName, Prediction
from penstock_cache.question import Question

ORGANIZATIONS_MAX = 1024
CHARACTERS_MAX = 500


class Predictor:
    """Learns from what is asked. An organization's chain is found by its name, and knows of no other."""

    def __init__(self) -> None:
        self._chains: OrderedDict[str, Chain] = OrderedDict()
        self._gone_right = self._gone_wrong = 0

    @property
    def right(self) -> int:
        """Tell how many questions were among those predicted."""
        return self._gone_right + sum(chain.right for chain in self._chains.values())

    @property
    def wrong(self) -> int:
        """Tell how many questions came where others were predicted."""
        return self._gone_wrong + sum(chain.wrong for chain in self._chains.values())

    def score(self, organization: str) -> tuple[int, int]:
        """Tell how many questions of an organization were, and were not, among those predicted."""
        chain = self._chains.get(organization)
        return (0, 0) if chain is None else (chain.right, chain.wrong)

    def observe(self, question: Question, now: float) -> list[Prediction]:
        """Learn from a question and predict the next of its user; nothing for one that is no text, or a long one."""
        if not question.query_text or len(question.query_text) > CHARACTERS_MAX:
            return []
        chain = self._chains.setdefault(question.organization, Chain())
        self._chains.move_to_end(question.organization)
        if len(self._chains) > ORGANIZATIONS_MAX:
            self._drop(next(iter(self._chains)))
        lane = LaneName(question.user, question.room.secret, question.history_digest)
        return chain.observe(lane, question.query_text, now)

    def forget(self, organization: str, selector: Selector) -> int:
        """Forget what was learnt from a user; for all else but one entry, all of the organization. Give how much."""
        chain = self._chains.get(organization)
        if chain is None or selector[0] == "entry_id":
            return 0
        before = len(chain)
        if selector[0] != "user":
            self._drop(organization)
            return before
        chain.forget(selector[1])
        return before - len(chain)

    def forget_all(self) -> None:
        """Forget every organization."""
        for organization in list(self._chains):
            self._drop(organization)

    def _drop(self, organization: str) -> None:
        chain = self._chains.pop(organization)
        self._gone_right += chain.right
        self._gone_wrong += chain.wrong
