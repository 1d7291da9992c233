"""What will be asked next: learnt from what was asked, of nobody else's, and forgotten with whom it was learnt from."""

from hypothesis import given
from hypothesis import strategies as st
from penstock_cache.entry import Answer, Entry
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.prediction import chain as chains
from penstock_cache.prediction.chain import LANE_SECONDS_MAX, Chain, LaneName
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.prediction.template import advance, parse, steps
from penstock_cache.question import Hit, Question, Tier
from penstock_cache.tally import Tallies

LANE = LaneName("alice", b"room", b"")


def ask(chain, *texts, lane=LANE, now=0.0):
    predictions = []
    for text in texts:
        predictions = chain.observe(lane, text, now)
    return [prediction.text for prediction in predictions]


def question(text, user="alice", organization="acme"):
    scope = SharingScope.ORGANIZATION
    partition = Partition(organization, scope, "", "chat", "m", b"1" * 32, b"2" * 32, "", "", "")
    room = RoomKeys(b"r" * 32).room(partition)
    return Question(organization, user, 1e12, room, room.key(b"1" * 32), query_text=text)


def test_a_counter_goes_on():
    chain = Chain()
    assert ask(chain, "Summarise PO 12345") == []
    assert ask(chain, "Summarise PO 12346") == ["Summarise PO 12347"]


def test_a_counter_goes_on_in_steps_of_its_own_and_keeps_its_width():
    assert ask(Chain(), "page 0010 of 90", "page 0020 of 90", "page 0030 of 90") == ["page 0040 of 90"]
    assert ask(Chain(), "9 to go", "6 to go", "3 to go", "0 to go") == []


def test_what_came_after_it_before_comes_again_the_likeliest_first():
    chain = Chain()
    ask(chain, *["open", "read", "close"] * 3, "open", "skip", "open")
    assert ask(chain, "close", "open")[:2] == ["read", "skip"]


def test_a_longer_context_knows_better():
    chain = Chain()
    ask(chain, *["a", "x", "left", "b", "x", "right"] * 4)
    assert ask(chain, "a", "x")[0] == "left"
    assert ask(chain, "left", "b", "x")[0] == "right"


def test_one_user_learns_from_another_but_is_never_told_anothers_numbers():
    chain = Chain()
    ask(chain, "open", "invoice 71", "open", "invoice 72")
    bob = LANE._replace(user="bob")
    assert ask(chain, "open", lane=bob) == []
    assert ask(chain, "invoice 5", "open", lane=bob) == ["invoice 6"]


def test_rooms_know_nothing_of_each_other():
    chain = Chain()
    ask(chain, *["open", "read"] * 3)
    assert ask(chain, "open", lane=LANE._replace(room=b"other")) == []


def test_after_a_long_pause_a_user_begins_anew():
    chain = Chain()
    ask(chain, "n 1", "n 2")
    assert ask(chain, "n 7", now=LANE_SECONDS_MAX + 1) != ["n 3"]


def test_right_and_wrong_predictions_are_counted():
    predictor = Predictor()
    for text in ("n 1", "n 2", "n 3", "n 4", "something else"):
        predictor.observe(question(text), 0.0)
    assert (predictor.right, predictor.wrong) == (2, 1)
    predictor.forget("acme", ("everything", ""))
    assert (predictor.right, predictor.wrong) == (2, 1)


def test_after_a_user_is_forgotten_nothing_of_them_is_left():
    predictor = Predictor()
    for _ in range(3):
        for text in ("the diagnosis of Carla", "the bill 5 of Carla"):
            predictor.observe(question(text, user="alice"), 0.0)
        for text in ("hello", "goodbye"):
            predictor.observe(question(text, user="bob"), 0.0)
    assert predictor.forget("acme", ("user", "alice")) > 0
    left = repr([vars(chain) for chain in predictor._chains.values()])
    assert "Carla" not in left
    assert "alice" not in left
    assert "goodbye" in left
    assert [each.text for each in predictor.observe(question("hello", user="bob"), 0.0)] == ["goodbye"]


def test_organizations_know_nothing_of_each_other():
    predictor = Predictor()
    for text in ["open", "read"] * 3:
        predictor.observe(question(text), 0.0)
    assert predictor.observe(question("open", organization="beta"), 0.0) == []
    predictor.forget("beta", ("everything", ""))
    assert [each.text for each in predictor.observe(question("open"), 0.0)] == ["read"]


@given(st.lists(st.sampled_from(["a", "b 1", "b 2", "b 9", "c 1 2", "d"]), max_size=60))
def test_probabilities_are_such_and_there_are_five_at_most(texts):
    chain = Chain()
    for text in texts:
        predictions = chain.observe(LANE, text, 0.0)
        assert len(predictions) <= 5
        assert all(0 < prediction.probability <= 1 for prediction in predictions)


def test_what_is_learnt_is_bounded(monkeypatch):
    monkeypatch.setattr(chains, "CONTEXTS_MAX", 50)
    monkeypatch.setattr(chains, "LANES_MAX", 5)
    chain = Chain()
    for number in range(500):
        ask(chain, chr(1000 + number), "again", lane=LANE._replace(user=str(number % 50)))
    assert len(chain) <= 50 + 50 + 5


@given(st.text(st.sampled_from("ab 0123456789-"), max_size=30))
def test_a_template_filled_with_its_own_numbers_is_the_question(text):
    template, numbers = parse(text)
    assert template.fill(numbers) == text
    assert advance(numbers, steps(numbers, numbers)) == numbers


def test_what_nobody_asked_for_in_time_is_wasted_and_what_it_cost_is_known():
    tallies = Tallies()
    for number, expires_at in ((1, 10.0), (2, 10.0), (3, 99.0)):
        tallies.kept_ahead("acme", Entry(bytes([number]), Answer(b"", 5, 1), frozenset(), 0.0, expires_at))
    asked = Hit(Entry(b"\x02", Answer(b"", 5, 1), frozenset(), 0.0, 10.0), Tier.L1, 1.0)
    assert tallies.count("acme", asked).tier is Tier.L4
    assert tallies.count("acme", asked).tier is Tier.L1
    tallies.expire(50.0, 1)
    tally = tallies.of("acme")
    assert (tally.ahead_answers, tally.ahead_useful, tally.ahead_wasted) == (3, 1, 1)
    assert tally.wasted_cost_nanos == tallies.all.wasted_cost_nanos == 5
    assert not tallies.of("beta").ahead_answers
