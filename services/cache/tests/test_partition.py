"""Keys: equal only for what is equal in every part."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st
from penstock_cache.partition import Partition, RoomKeys, SharingScope

ROOT = b"r" * 32
CONVERSATION = b"c" * 32
PARTITION = Partition(
    organization="acme",
    scope=SharingScope.ORGANIZATION,
    scope_id="",
    operation="chat",
    model="smollm2",
    conditions_digest=b"1" * 32,
    instructions_digest=b"2" * 32,
    locale="en",
    policy_version="3",
    prompt_version="4",
)

texts = st.text(max_size=4) | st.text("0123456789:,", max_size=6)
digests = st.binary(min_size=32, max_size=32)
partitions = st.builds(
    Partition,
    organization=texts,
    scope=st.sampled_from(SharingScope),
    scope_id=texts,
    operation=texts,
    model=texts,
    conditions_digest=digests,
    instructions_digest=digests,
    locale=texts,
    policy_version=texts,
    prompt_version=texts,
)


def answer_key(root_secret, partition, conversation):
    return RoomKeys(root_secret).room(partition).key(conversation)


@given(partitions, digests)
def test_equal_requests_have_equal_keys(partition, conversation):
    assert answer_key(ROOT, partition, conversation) == answer_key(ROOT, replace(partition), conversation)


@given(partitions, partitions, digests)
def test_different_partitions_have_different_keys(one, other, conversation):
    keys = {answer_key(ROOT, one, conversation), answer_key(ROOT, other, conversation)}
    assert len(keys) == len({one, other})


def test_every_field_of_the_partition_is_a_part_of_the_key():
    other = Partition("beta", SharingScope.USER, "u", "embedding", "m", b"3" * 32, b"4" * 32, "de", "5", "6")
    key = answer_key(ROOT, PARTITION, CONVERSATION)
    for field in fields(Partition):
        changed = replace(PARTITION, **{field.name: getattr(other, field.name)})
        assert answer_key(ROOT, changed, CONVERSATION) != key, field.name


def test_text_cannot_move_from_one_field_to_the_next():
    one = replace(PARTITION, operation="chat", model="a,1:b")
    other = replace(PARTITION, operation="chat,1:a", model="b")
    assert answer_key(ROOT, one, CONVERSATION) != answer_key(ROOT, other, CONVERSATION)


def test_another_installation_has_other_keys():
    assert answer_key(b"s" * 32, PARTITION, CONVERSATION) != answer_key(ROOT, PARTITION, CONVERSATION)
