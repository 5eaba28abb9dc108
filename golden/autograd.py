"""Scalar automatic differentiation: how a model learns, one multiplication at a time.

A :class:`Value` is a number that remembers how it was made. Five operations (``+``, ``*``, ``**``,
``log``, ``exp``) and ``relu`` suffice for a transformer. Each one records its operands and the
*local derivative* with respect to each: how fast the result moves when that operand moves.
:meth:`Value.backward` then applies the chain rule from the result to all numbers behind it:

>>> a, b = Value(2.0), Value(3.0)
>>> loss = a * b + a**2
>>> loss.backward()
>>> a.grad, b.grad  # d loss/da = b + 2a, d loss/db = a
(7.0, 2.0)

The idea is that of Karpathy's micrograd and microGPT.
"""

import math


class Value:
    """A number in an expression, and the derivative of the expression's result by it.

    Members
    -------
    data : float
        The number.
    grad : float
        Derivative of the value on which :meth:`backward` was called with respect to this one.
        Gradients add up over several calls; who starts afresh sets them to zero.
    """

    __slots__ = ("_derivatives", "_operands", "data", "grad")

    def __init__(self, data: float, operands: tuple = (), derivatives: tuple = ()):
        self.data = data
        self.grad = 0.0
        self._operands = operands
        self._derivatives = derivatives

    def __add__(self, other):
        other = _value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = _value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, exponent: float):
        """This value to the power of a plain number."""
        slope = exponent * self.data ** (exponent - 1)
        return Value(self.data**exponent, (self,), (slope,))

    def log(self):
        """Natural logarithm."""
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def exp(self):
        """The exponential function of this value."""
        result = math.exp(self.data)
        return Value(result, (self,), (result,))

    def relu(self):
        """The larger of this value and zero; the slope at zero is taken as zero."""
        return Value(max(self.data, 0.0), (self,), (1.0 if self.data > 0 else 0.0,))

    # Everything else is made of the operations above.

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -_value(other)

    def __truediv__(self, other):
        return self * _value(other) ** -1

    def __rsub__(self, other):
        return _value(other) - self

    def __rtruediv__(self, other):
        return _value(other) / self

    __radd__ = __add__
    __rmul__ = __mul__

    def __repr__(self):
        return f"Value({self.data:g}, grad={self.grad:g})"

    def backward(self) -> None:
        """Add the derivative of this value with respect to every value behind it to their grads.

        A value passes its gradient on only once all the results that use it have passed on
        theirs: that is the reverse of the order in which an expression is computed.
        """
        order = self._operands_first()
        # Kept apart from ``grad``, so that gradients of an earlier call are not passed on again.
        flow = dict.fromkeys(map(id, order), 0.0)
        flow[id(self)] = 1.0
        for value in reversed(order):
            gradient = flow[id(value)]
            value.grad += gradient
            for operand, derivative in zip(value._operands, value._derivatives, strict=True):
                flow[id(operand)] += derivative * gradient

    def _operands_first(self) -> list["Value"]:
        """All values behind this one, each after its operands.

        Depth first with a stack of its own: an expression may be deeper than Python may recurse.
        """
        order, seen, stack = [], set(), [(self, False)]
        while stack:
            value, operands_done = stack.pop()
            if operands_done:
                order.append(value)
            elif id(value) not in seen:
                seen.add(id(value))
                stack.append((value, True))
                stack.extend((operand, False) for operand in value._operands)
        return order


def _value(x) -> Value:
    return x if isinstance(x, Value) else Value(x)
