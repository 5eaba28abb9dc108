import numpy as np

from golden import calibrate
from golden.graph import from_checkpoint, lower, run
from tests.random_models import CONFIGS, random_checkpoint


def test_half_uniform_half_from_the_model():
    graph = lower(random_checkpoint(CONFIGS["microgpt"]))
    tokens = calibrate.sequences(graph)
    assert tokens.shape == (64, 16)  # as long as the context
    assert (tokens[32:, 0] == 26).all()
    assert len(set(tokens[:32, 0].tolist())) > 10
    assert tokens.min() >= 0
    assert tokens.max() < 27


def test_without_a_context_the_length_is_chosen():
    graph = lower(random_checkpoint(CONFIGS["window"]))
    assert calibrate.sequences(graph).shape == (64, calibrate.LENGTH)


def test_it_is_deterministic():
    graph = lower(random_checkpoint(CONFIGS["microgpt"]))
    np.testing.assert_array_equal(calibrate.sequences(graph), calibrate.sequences(graph))
    assert calibrate.peaks(graph) == calibrate.peaks(graph)


def test_peaks_cover_every_value_with_headroom():
    graph = lower(random_checkpoint(CONFIGS["two layers"]))
    peaks, largest = calibrate.peaks(graph), {}

    def record(layer, name, value):
        largest[layer, name] = np.abs(value).max()

    run(graph, calibrate.sequences(graph), record)
    assert peaks.keys() == largest.keys()
    assert all(peaks[key] == calibrate.HEADROOM * largest[key] for key in peaks)
    assert {(0, "fc1"), (1, "fc1"), (0, "norm_embedding"), (0, "logits")} <= peaks.keys()


def test_continued_follows_the_distribution_of_the_model():
    graph = from_checkpoint(random_checkpoint(CONFIGS["microgpt"]))
    rng = np.random.Generator(np.random.PCG64(3))
    tokens = calibrate.continued(graph, np.full((4000, 1), 5), 2, rng)
    logits = run(graph, np.array([[5]]))[0, 0]
    expected = np.exp(logits - logits.max())
    expected *= 4000 / expected.sum()
    seen = np.bincount(tokens[:, 1], minlength=27)
    chi_square = ((seen - expected) ** 2 / expected).sum()
    assert chi_square < 26 + 5 * np.sqrt(2 * 26)
