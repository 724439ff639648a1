"""Pytrees: what goes in comes out, structures compare as containers do, and errors name the place."""

import operator
import pickle
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft.frontend import tree

Point = namedtuple("Point", "x y")


class Layer(NamedTuple):
    W: object
    b: object = 0


@dataclass
class Params:
    W: object
    b: object = None


@dataclass(frozen=True, slots=True)
class State:
    step: object
    twice: object = field(init=False)
    name: str = field(default="adam", metadata={"static": True})

    def __post_init__(self):
        object.__setattr__(self, "twice", self.step * 2)


class Pair:
    def __init__(self, left, right, tag):
        self.left, self.right, self.tag = left, right, tag

    def __eq__(self, other):
        return (self.left, self.right, self.tag) == (other.left, other.right, other.tag)


tree.register(Pair, lambda p: ((p.left, p.right), p.tag), lambda tag, children: Pair(*children, tag))


def containers(inner):
    """One more level of containers around trees from the strategy `inner`."""
    keys = st.one_of(st.text(max_size=3), st.integers(-3, 3), st.tuples(st.integers(0, 2)))
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
        st.dictionaries(keys, inner, max_size=3).map(lambda d: defaultdict(list, d)),
        st.builds(Point, inner, inner),
        st.builds(Params, inner, inner),
        st.builds(Pair, inner, inner, st.sampled_from(["a", 1])),
    )


trees = st.recursive(st.one_of(st.none(), st.integers(), st.text(max_size=2)), containers, max_leaves=12)


@given(trees)
def test_unflatten_undoes_flatten(value):
    leaves, treedef = tree.flatten(value)
    again = tree.unflatten(treedef, leaves)
    assert again == value and type(again) is type(value)
    assert tree.flatten(again) == (leaves, treedef)
    assert treedef == tree.structure(value) and hash(treedef) == hash(tree.structure(value))
    assert treedef.num_leaves == len(leaves) == len(treedef.paths())
    assert tree.leaves(value) == leaves
    assert isinstance(repr(treedef), str)


@given(trees, trees)
def test_structures_are_equal_exactly_when_one_unflattens_into_the_other(a, b):
    (la, da), (lb, db) = tree.flatten(a), tree.flatten(b)
    if da == db:
        assert hash(da) == hash(db)
        assert tree.unflatten(da, lb) == b and tree.unflatten(db, la) == a
    elif len(la) == len(lb):
        assert tree.structure(tree.unflatten(da, lb)) == da != db


@given(trees)
def test_map_keeps_the_structure(value):
    leaves, treedef = tree.flatten(value)
    assert tree.map(lambda leaf: (leaf, 0), value) == tree.unflatten(treedef, [(leaf, 0) for leaf in leaves])
    assert tree.leaves(tree.map(lambda a, b: a is b, value, value)) == [True] * len(leaves)


@given(st.dictionaries(st.text(max_size=2), st.integers(), max_size=5), st.randoms())
def test_order_of_keys_is_kept_but_is_no_part_of_the_structure(value, random):
    items = list(value.items())
    random.shuffle(items)
    shuffled = dict(items)
    assert tree.structure(shuffled) == tree.structure(value)
    assert hash(tree.structure(shuffled)) == hash(tree.structure(value))
    assert tree.leaves(shuffled) == tree.leaves(value)
    assert list(tree.map(operator.neg, shuffled)) == list(shuffled)
    assert tree.map(operator.sub, value, shuffled) == dict.fromkeys(value, 0)


def test_keys_that_do_not_sort_keep_their_order():
    assert tree.leaves({"b": 1, 0: 2, "a": 3}) == [1, 2, 3]


@pytest.mark.parametrize("leaf", [1.5, "text", b"bytes", {1, 2}, np.float32(2), range(3), object(), int, ...])
def test_everything_else_is_a_leaf(leaf):
    leaves, treedef = tree.flatten(leaf)
    assert leaves == [leaf] and repr(treedef) == "TreeDef(*)"
    assert treedef.unflatten([7]) == 7


def test_arrays_are_leaves_and_pass_through_untouched():
    array = np.arange(6).reshape(2, 3)
    (leaf,), treedef = tree.flatten({"a": [array]})
    assert leaf is array and tree.unflatten(treedef, [leaf])["a"][0] is array


def test_subclasses_are_leaves_until_registered():
    class Mine(dict):
        pass

    value = Mine(a=1)
    assert tree.leaves([value]) == [value]
    tree.register(Mine, lambda m: (m.values(), tuple(m)), lambda keys, vs: Mine(zip(keys, vs, strict=True)))
    mapped = tree.map(operator.neg, [value])
    assert type(mapped[0]) is Mine and mapped == [{"a": -1}]


def test_frozen_dataclass_with_slots_static_and_init_false_fields():
    state = State(3)
    leaves, treedef = tree.flatten(state)
    assert leaves == [3, 6] and treedef.paths("s") == ["s.step", "s.twice"]
    again = treedef.unflatten([1, 5])  # __post_init__ does not run: the leaves are what was given
    assert (again.step, again.twice, again.name) == (1, 5, "adam")
    other = object.__new__(State)
    for name, value in {"step": 3, "twice": 6, "name": "sgd"}.items():
        object.__setattr__(other, name, value)
    assert tree.structure(other) != treedef


def test_dataclass_field_that_is_not_set():
    @dataclass
    class Late:
        value: int = field(init=False)

    with pytest.raises(TypeError, match=r"Late can't be flattened: .*'value'"):
        tree.flatten(Late())


def test_paths():
    value = {"params": [{"W": 1, "b": 2}], "opt": Params(Layer(3, 4)), 0.5: None}
    paths = tree.structure(value["params"]).paths("params")
    assert paths == ["params[0]['W']", "params[0]['b']"]
    assert tree.structure(value).paths("s") == [
        "s['params'][0]['W']",
        "s['params'][0]['b']",
        "s['opt'].W.W",
        "s['opt'].W.b",
    ]
    assert tree.structure(Pair(1, [2], "t")).paths("p") == ["p[0]", "p[1][0]"]


def test_repr():
    value = {"a": [1, (2,), (3, 4)], "b": Params(1), "c": Layer(1), "d": Pair(1, 2, "t")}
    value["e"] = OrderedDict(x=1)
    assert repr(tree.structure(value)) == (
        "TreeDef({'a': [*, (*,), (*, *)], 'b': Params(W=*, b=None), 'c': Layer(W=*, b=*), "
        "'d': Pair(*, *, 't'), 'e': OrderedDict({'x': *})})"
    )


def test_structure_mismatch_names_the_place_and_both_kinds():
    first = {"layers": [(1, 2), (3, 4)]}
    with pytest.raises(ValueError) as error:
        tree.map(operator.add, first, {"layers": [(1, 2), [3, 4]]})
    assert str(error.value) == (
        "tree.map: argument 2 differs in structure from the first at ['layers'][1]: "
        "a tuple of 2 items in the first, a list of 2 items in argument 2"
    )
    with pytest.raises(ValueError, match=r"at \['layers'\]: a list of 2 .*, a leaf \(int\) in argument 3"):
        tree.map(max, first, first, {"layers": 7})
    with pytest.raises(ValueError, match=r"root: a dict with keys 'layers' .*, a dict with keys \(none\)"):
        tree.map(max, first, {})
    with pytest.raises(ValueError, match=r"keys 'layers' in the first, a dict with keys 'layer' in"):
        tree.map(max, first, {"layer": [(1, 2), (3, 4)]})
    with pytest.raises(ValueError, match=r"root: None in the first, a list of 1 item "):
        tree.map(max, None, [1])


def test_map_hands_whole_subtrees_where_the_first_has_a_leaf():
    params, state = {"W": 1, "b": 2}, {"W": (10, 0), "b": (20, 0)}
    assert tree.map(lambda p, s: p + s[0], params, state) == {"W": 11, "b": 22}


def test_is_leaf():
    def pair(x):
        return isinstance(x, tuple)

    assert tree.map(len, [(1, 2), [(), 3]][:1], is_leaf=pair) == [2]
    assert tree.leaves({"a": (1, 2), "b": [3]}, is_leaf=pair) == [(1, 2), 3]


def test_reduce_and_all():
    assert tree.reduce(operator.add, {"a": [1, 2], "b": 3}) == 6
    assert tree.reduce(operator.add, [], 5) == 5
    assert tree.all([1, {"a": True}]) and not tree.all([1, {"a": 0}]) and tree.all(None)


def test_wrong_number_of_leaves():
    with pytest.raises(ValueError, match=r"TreeDef\(\[\*, \*\]\) has 2 leaves, but 3 were given"):
        tree.unflatten(tree.structure([1, 2]), iter([1, 2, 3]))


def test_a_container_in_itself():
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        tree.flatten(loop)


def test_register_refuses_what_it_would_break():
    with pytest.raises(ValueError, match="dict is a container already"):
        tree.register(dict, lambda d: ((), None), lambda aux, children: {})
    with pytest.raises(ValueError, match="Pair is a container already"):
        tree.register(Pair, lambda d: ((), None), lambda aux, children: None)
    with pytest.raises(TypeError, match="takes a class"):
        tree.register("Pair", lambda d: ((), None), lambda aux, children: None)


def test_register_overrides_a_dataclass():
    @dataclass
    class Frame:
        rows: int
        data: object

    assert tree.leaves(Frame(1, 2)) == [1, 2]
    tree.register(Frame, lambda f: ((f.data,), f.rows), lambda rows, children: Frame(rows, *children))
    assert tree.map(operator.neg, Frame(1, 2)) == Frame(1, -2)


def test_structures_pickle():
    treedef = tree.structure([1, {"b": 2, "a": None}, Point(3, 4)])
    assert pickle.loads(pickle.dumps(treedef)) == treedef
