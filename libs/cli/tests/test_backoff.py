from penstock_cli.stack.backoff import FIRST_SECONDS, LAST_SECONDS, STABLE_SECONDS, Backoff


def test_each_death_doubles_the_delay_up_to_a_bound():
    backoff = Backoff()
    delays = [backoff.delay_after(0.0) for _ in range(8)]
    assert delays[:4] == [FIRST_SECONDS, 0.2, 0.4, 0.8]
    assert delays[-2:] == [LAST_SECONDS, LAST_SECONDS]


def test_a_program_that_ran_stably_is_started_again_at_once():
    backoff = Backoff()
    for _ in range(8):
        backoff.delay_after(0.0)
    assert backoff.delay_after(STABLE_SECONDS) == FIRST_SECONDS
