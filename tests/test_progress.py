from sim.progress import PAUSE, progress


def test_a_word_at_times_and_the_time_that_is_left():
    now, said = [100.0], []
    more = progress(200, said.append, lambda: now[0])
    for count, seconds in ((10, PAUSE / 2), (40, 1.0), (1, PAUSE / 2), (49, 1.0), (100, 1.0)):
        now[0] += seconds
        more(count)
    assert said == ["25%, 3 s left", "50%, 2 s left", "100%, 0 s left"]


def test_nothing_is_said_of_what_is_soon_done():
    said = []
    more = progress(2, said.append, lambda: 0.0)
    more(1)
    more(1)
    assert said == []
