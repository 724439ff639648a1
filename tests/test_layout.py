"""How views lie in memory, against NumPy's own answer to whether a reshape copies."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.frontend.layout import row_major, stepped
from weft.ir.dims import symbol
from weft.ir.ops import movement as m
from weft.ir.sizes import Sizes


@st.composite
def shapes_of(draw: st.DrawFn, size: int) -> tuple[int, ...]:
    """A shape of so many elements."""
    found = []
    while size > 1 and draw(st.booleans()):
        found.append(draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0])))
        size //= found[-1]
    return tuple(draw(st.permutations([*found, size])))


@settings(max_examples=300)
@given(st.data())
def test_a_reshape_copies_where_numpy_says_so(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    array = np.zeros(shape, np.int8)
    layout = row_major(shape, None)
    for _ in range(data.draw(st.integers(0, 3))):
        kind = data.draw(st.sampled_from(["transpose", "slice", "reverse", "broadcast"]))
        if kind == "transpose":
            perm = data.draw(st.permutations(range(array.ndim)))
            array, op, attrs = array.transpose(perm), m.transpose, {"perm": perm}
        elif kind == "slice":
            places = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in array.shape]
            steps = [data.draw(st.integers(1, 2)) for _ in array.shape]
            array = array[tuple(slice(a, b, s) for (a, b), s in zip(places, steps, strict=True))]
            op, attrs = m.slice_, {"start": [a for a, _ in places], "stop": [b for _, b in places], "step": steps}
        elif kind == "reverse":
            axes = [i for i in range(array.ndim) if data.draw(st.booleans())]
            array, op, attrs = np.flip(array, axes), m.reverse, {"axes": axes}
        else:
            wide = (2, *(3 if n == 1 else n for n in array.shape))
            array, op, attrs = np.broadcast_to(array, wide), m.broadcast, {"shape": wide}
        layout = stepped(layout, op, attrs)
        assert [n for n, _ in layout] == list(array.shape)
    shape = data.draw(shapes_of(array.size)) if array.size else (0,)
    try:
        np.reshape(array, shape, copy=False)
        copies = False
    except ValueError:
        copies = True
    assert (stepped(layout, m.reshape, {"shape": shape}) is None) == copies


def test_of_symbols() -> None:
    sizes = Sizes({"B": 5, "N": 7})
    b, n = symbol(sizes, "B"), symbol(sizes, "N")
    rows = row_major((b, n, 4), None)
    assert stepped(rows, m.reshape, {"shape": (b * n, 4)}) == [(b * n, 4), (4, 1)]
    turned = stepped(rows, m.transpose, {"perm": (1, 0, 2)})
    assert not sizes.guards
    assert stepped(turned, m.reshape, {"shape": (n * b, 4)}) is None
    assert not sizes.holds()(B=5, N=1) and sizes.holds()(B=9, N=11)
