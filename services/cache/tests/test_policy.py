"""What may be kept at all."""

import pytest
from penstock_cache.partition import SharingScope
from penstock_cache.policy import Circumstances, Classification, Outcome, Refusal, StoragePolicy

ALL, ONE = SharingScope.ORGANIZATION, SharingScope.USER


@pytest.mark.parametrize("outcome", [Outcome.TRUNCATED, Outcome.REFUSED, Outcome.ERRORED, Outcome.UNSETTLED])
def test_what_is_not_complete_and_settled_is_never_kept(outcome):
    assert StoragePolicy().refusal(Circumstances(outcome), ONE) is Refusal.OUTCOME


@pytest.mark.parametrize("scope", [SharingScope.TEAM, SharingScope.ORGANIZATION])
@pytest.mark.parametrize("found", [Classification.CONFIDENTIAL, Classification.RESTRICTED])
def test_personal_and_restricted_data_never_leave_their_user(found, scope):
    about = Circumstances(classification=found)
    assert StoragePolicy().refusal(about, scope) is Refusal.CLASSIFICATION
    assert StoragePolicy().refusal(about, ONE) is None


def test_restricted_data_can_be_kept_out_altogether():
    policy = StoragePolicy(restricted=False)
    assert (
        policy.refusal(Circumstances(classification=Classification.RESTRICTED), ONE) is Refusal.CLASSIFICATION
    )
    assert policy.refusal(Circumstances(classification=Classification.CONFIDENTIAL), ONE) is None


def test_temperature_and_tools_are_a_matter_of_settings():
    hot, tools = Circumstances(temperature=1.0), Circumstances(tools_offered=True)
    assert StoragePolicy().refusal(hot, ALL) is StoragePolicy().refusal(tools, ALL) is None
    assert StoragePolicy(temperature_max=0.9).refusal(hot, ALL) is Refusal.TEMPERATURE
    assert StoragePolicy(tools=False).refusal(tools, ALL) is Refusal.TOOLS


@pytest.mark.parametrize(
    "found", [Classification.UNSPECIFIED, Classification.PUBLIC, Classification.INTERNAL]
)
def test_the_rest_is_kept_for_those_who_may_share_it(found):
    assert StoragePolicy().refusal(Circumstances(Outcome.COMPLETE, found, 0.7), ALL) is None
