"""How the parts of a unit share its multiplier port."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux


def share(m: Module, mul, *banks: Sequence) -> None:
    """Connect ports of parts to the port ``mul`` of their unit, all of ``hdl.mac.Multiply``.

    The lanes of ``mul`` are the lanes of the banks, side by side; a bank is as wide as its widest
    port. In every bank the first port that asks wins the cycle. Latency 0: products come as from
    the array.
    """
    m.d.comb += mul.valid.eq(Cat(user.valid for bank in banks for user in bank).any())
    start = 0
    for bank in banks:
        taken = 0
        for user in bank:
            m.d.comb += user.ready.eq(mul.ready & ~taken)
            taken = taken | user.valid
            m.d.comb += [p.eq(mul.p[start + k]) for k, p in enumerate(user.p)]
        width = max(len(user.p) for user in bank)
        for k in range(width):
            *winners, other = [user for user in bank if k < len(user.p)]
            a, b = other.a[k], other.b[k]
            for user in reversed(winners):
                a, b = Mux(user.valid, user.a[k], a), Mux(user.valid, user.b[k], b)
            m.d.comb += [mul.a[start + k].eq(a), mul.b[start + k].eq(b)]
        start += width
