import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import loss_curve


def test_it_is_a_picture():
    file = io.BytesIO()
    loss_curve.draw(file, [3.0, 2.5, 2.25], "title")
    assert file.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("steps", [1, 5, 12, 300])
def test_steps_are_plain_numbers(steps):
    (axes,) = loss_curve.paint([3.0] * steps, "title").axes
    axes.figure.draw_without_rendering()
    ticks = [*axes.get_xticklabels(minor=False), *axes.get_xticklabels(minor=True)]
    labels = [tick.get_text() for tick in ticks if tick.get_position()[0] >= 1]
    assert "1" in labels
    assert not [label for label in labels if label and not re.fullmatch(r"[0-9.,]+", label)]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=300))
def test_smoothing_stays_in_range(losses):
    steps, mean = loss_curve.smooth(losses)
    assert steps[0] == 1
    assert steps[-1] == len(losses)
    assert mean[0] == losses[0]
    assert min(losses) - 1e-9 <= mean.min() <= mean.max() <= max(losses) + 1e-9
