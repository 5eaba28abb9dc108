import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from golden import scalar
from golden.autograd import Value
from golden.errors import WeftError
from golden.model import ModelConfig

numbers = st.floats(-3, 3)
EXPRESSIONS = {
    "a + b": lambda a, b: a + b,
    "a * b": lambda a, b: a * b,
    "a - b": lambda a, b: a - b,
    "a / b": lambda a, b: a / b,
    "2 - a": lambda a, b: 2 - a + 0 * b,
    "2 / b": lambda a, b: 2 / b + 0 * a,
    "3 + 2a": lambda a, b: 3 + 2 * a + b,
    "a ** 3": lambda a, b: a**3 + b,
    "b ** -1.5": lambda a, b: (b * b) ** -1.5 + a,
    "-a": lambda a, b: -a * b,
    "shared": lambda a, b: (a + b) * (a + b) * a,
}
METHODS = {
    "log": lambda a, b: (b * b).log() * a,
    "exp": lambda a, b: (a * b).exp(),
    "relu": lambda a, b: (a * b).relu() * a,
    "deep": lambda a, b: ((a.exp() + 1).log() * b).relu() ** 2 + a / (b * b + 1),
}


def difference(f, a, b, h=1e-6):
    """Central differences of f by a and by b."""
    f = [f(Value(x), Value(y)).data for x, y in ((a + h, b), (a - h, b), (a, b + h), (a, b - h))]
    return (f[0] - f[1]) / (2 * h), (f[2] - f[3]) / (2 * h)


@pytest.mark.parametrize("name", [*EXPRESSIONS, *METHODS])
@given(x=numbers, y=numbers)
def test_gradients_are_slopes(name, x, y):
    assume(abs(y) > 0.3)
    assume(abs(x) > 1e-3)  # ReLU has no slope at zero
    f = (EXPRESSIONS | METHODS)[name]
    a, b = Value(x), Value(y)
    f(a, b).backward()
    for gradient, slope in zip((a.grad, b.grad), difference(f, x, y), strict=True):
        assert gradient == pytest.approx(slope, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", EXPRESSIONS)
@given(x=numbers, y=numbers)
def test_values_are_those_of_python(name, x, y):
    assume(abs(y) > 0.3)
    f = EXPRESSIONS[name]
    assert f(Value(x), Value(y)).data == pytest.approx(f(x, y), rel=1e-12, abs=1e-12)


def test_functions():
    assert Value(2.0).log().data == math.log(2)
    assert Value(2.0).exp().data == math.exp(2)
    assert (Value(-2.0).relu().data, Value(2.0).relu().data) == (0.0, 2.0)
    assert repr(Value(2.5)) == "Value(2.5, grad=0)"


def test_relu_is_flat_at_zero():
    a = Value(0.0)
    a.relu().backward()
    assert a.grad == 0.0


def test_the_example_of_the_docstring():
    a, b = Value(2.0), Value(3.0)
    (a * b + a**2).backward()
    assert (a.grad, b.grad) == (7.0, 2.0)


def test_gradients_add_up_over_calls():
    a = Value(3.0)
    square = a * a
    double = square * 2
    double.backward()
    double.backward()
    assert a.grad == 24.0
    assert square.grad == 4.0


def test_deeper_than_python_recurses():
    a = total = Value(1.0)
    for _ in range(50_000):
        total = total + a
    total.backward()
    assert a.grad == 50_001


def test_scalar_model_learns():
    config = ModelConfig(1, 2, 4, 8, n_vocab=3, n_ctx=4)
    rng = np.random.default_rng(0)
    tensors = {name: rng.normal(0, 0.3, shape) for name, shape in config.shapes.items()}
    losses = []
    for _ in range(5):
        weights = scalar.scalars(tensors)
        loss = scalar.loss(config, weights, [2, 0, 1, 2])
        loss.backward()
        losses.append(loss.data)
        for name, matrix in weights.items():
            tensors[name] -= 0.1 * np.array([[value.grad for value in row] for row in matrix])
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("option", [{"activation": "gelu"}, {"tied_head": True}])
def test_scalar_model_is_microgpt_only(option):
    config = ModelConfig(1, 2, 4, 8, n_vocab=3, n_ctx=4, **option)
    with pytest.raises(WeftError, match="microGPT only"):
        scalar.loss(config, {}, [0, 1])
