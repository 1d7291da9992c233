"""The guard tells near questions apart by what they ask, and says by which rule."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penstock_cache.semantic.calibration import calibration
from penstock_cache.semantic.guard import RULES, failed_rule
from penstock_cache.semantic.sketch import sketch


def differ_by(one, other):
    first, second = sketch(one), sketch(other)
    return {name for name, differ in RULES.items() if differ(first, second)}


@pytest.mark.parametrize(
    ("rule", "one", "other"),
    [
        ("numbers", "Can I take 200 mg ibuprofen?", "Can I take 800 mg ibuprofen?"),
        ("numbers", "How do I split it between three people?", "How do I split it between four people?"),
        ("units", "Can I take 5 mg of it?", "Can I take 5 g of it?"),
        ("units", "Can I pay $50?", "Can I pay €50?"),
        ("time", "Is the office open on Monday?", "Is the office open on Friday?"),
        ("names", "What is the capital of Niger?", "What is the capital of Nigeria?"),
        ("code", "What does `git pull` do?", "What does `git push` do?"),
        ("code", "Where is src/main.py?", "Where is src/test.py?"),
        ("languages", "Write a loop in Python", "Write a loop in Rust"),
        ("negation", "Is remote work allowed?", "Is remote work not allowed?"),
        ("negation", "Why does it compile?", "Why doesn't it compile?"),
        ("quantity", "Are all users affected?", "Are users affected?"),
        ("rank", "Who was the first president?", "Who was the last president?"),
        ("comparison", "Is it more than 5 days?", "Is it less than 5 days?"),
        ("asks", "When do I renew it?", "Where do I renew it?"),
        ("antonyms", "How do I enable it?", "How do I disable it?"),
        ("antonyms", "Is this drug legal?", "Is this drug illegal?"),
        ("direction", "How do I send it to my account?", "How do I send it from my account?"),
        ("direction", "How do I convert a PDF into a Word file?", "How do I convert a Word file into a PDF?"),
        ("direction", "Are there flights into Oslo?", "Are there flights out of Oslo?"),
        ("possessor", "Who can see my files?", "Who can see your files?"),
        ("negation", "Darf ich hier rauchen?", "Darf ich hier nicht rauchen?"),
        ("negation", "Which vendors are compliant?", "Which vendors are non-compliant?"),
        ("time", "Ist am Montag offen?", "Ist am Freitag offen?"),
        ("numbers", "What is new in release 5.1?", "What is new in release 5.10?"),
        ("order", "Can Alice sue Bob?", "Can Bob sue Alice?"),
        ("order", "Is the box in the bag?", "Is the bag in the box?"),
        ("order", "Is the manager's assistant here?", "Is the assistant's manager here?"),
        ("order", "How do I map a user to a role?", "How do I map a role to a user?"),
        ("order", "How do I convert miles to kilometres?", "How do I convert kilometres to miles?"),
        ("order", "Is A a subset of B?", "Is B a subset of A?"),
        ("order", "Which team does Kim report to?", "Which team reports to Kim?"),
        ("order", "Which bank did Lehman advise?", "Which bank advised Lehman?"),
        ("units", "Can I park here after 6 pm?", "Can I park here after 6 a.m.?"),
        ("names", "What is vitamin C good for?", "What is vitamin D good for?"),
        ("substitution", "How do I clean a leather sofa?", "How do I clean a cotton sofa?"),
        ("assertion", "The tower was built by monks.", "The tower was funded by monks."),
        ("script", "What is a cat?", "Что такое кошка?"),
    ],
)
def test_a_rule_tells_questions_apart(rule, one, other):
    assert rule in differ_by(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "Please, how can I reset my password?"),
        ("My refund isn't showing", "My refund is not showing"),
        ("Why isn't my refund showing?", "Why is my refund not showing?"),
        ("I'm not sure why my payment was declined", "Why was my payment declined?"),
        ("What does 1,000 cost?", "What does 1000 cost?"),
        ("How do I begin with yoga?", "How do I start with yoga?"),
        ("Is the office closed on Friday?", "Is the office closed on Fridays?"),
        ("It works, doesn't it?", "It works?"),
        ("Alice was paid by Bob?", "Bob paid Alice?"),
        ("Does it close at 9 pm?", "Does it close at 9 p.m.?"),
        ("Where do I organise it?", "Where is it organised?"),
        ("Can I use my Visa abroad?", "can i use my visa abroad?"),
        ("Does my plan cover physiotherapy?", "Is physiotherapy covered by my plan?"),
        ("How do I reset my account password?", "How do I reset the password of my account?"),
        ("What are the flu's symptoms?", "What are the symptoms of the flu?"),
        ("What does 1,000.00 cost?", "What does 1000 cost?"),
        ("Could you tell me where the office is?", "Where is the office?"),
    ],
)
def test_what_asks_the_same_passes(one, other):
    assert differ_by(one, other) == set()


WORDS = """
how do I not pay 5 10 € mg by Alice Bob was is from to all first more `x` < python never monday ? . , unhappy happy
"""
words = st.sampled_from(WORDS.split())
texts = st.one_of(st.text(max_size=80), st.lists(words, max_size=12).map(" ".join))


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_question_passes_against_itself(text):
    assert failed_rule(sketch(text), sketch(text)) == ""


@settings(max_examples=300, deadline=None)
@given(texts, texts)
def test_it_does_not_matter_which_question_was_first(one, other):
    assert differ_by(one, other) == differ_by(other, one)


def test_questions_that_differ_by_a_greeting_have_one_answer_however_far_apart_they_are_put():
    asked, kept = sketch("Hi, how do I change my password please?"), sketch("How do I change my password?")
    assert calibration().log_odds(asked, kept, 0.6) > calibration().floor
    other = sketch("How do I change my address?")
    assert calibration().log_odds(other, kept, 0.6) < calibration().floor
