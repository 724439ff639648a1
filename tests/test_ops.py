"""The table of ops tests itself: each record is complete, and its reference keeps to its type rule."""

import itertools

import numpy as np
import pytest
from op_cases import CASES, dtypes_of

from weft.ir import BY_NUMPY, NAMES, REGISTRY, IRTypeError, TensorType
from weft.ir.interpret import interpret
from weft.ir.verify import verify

FAMILIES = {"elementwise", "reduce", "movement", "index", "dot", "source", "control", "stack", "library"}
FLOAT_OPS = [k for k in REGISTRY.values() if "f" in k.dtypes and k.arity and k.family != "control"]


@pytest.mark.parametrize("name", REGISTRY)
def test_the_record_is_complete(name):
    kind = REGISTRY[name]
    assert kind.name == name and name.isidentifier()
    assert kind.family in FAMILIES
    assert callable(kind.infer) and callable(kind.reference)
    assert kind.dtypes and set(kind.dtypes) <= set("biuf")
    if kind.family == "elementwise":
        for dtype in NAMES:
            if dtype[0] in kind.dtypes:
                assert isinstance(kind.scalar_for(dtype), str)
    else:
        assert kind.scalar is None
    if kind.family == "reduce" and "axes" in kind.attr_names:
        assert kind.extra["combine"] in REGISTRY
        for dtype in NAMES:
            if dtype[0] in kind.dtypes:
                np.array(kind.extra["identity"](dtype)).astype(NAMES[dtype])
    for function in kind.numpy:
        assert BY_NUMPY[function].name == name


@pytest.mark.parametrize("kind", FLOAT_OPS, ids=lambda k: k.name)
def test_every_op_of_floats_says_what_its_derivative_is(kind):
    assert kind.pull is not None
    states_its_jvp = kind.push is not None or kind.linear or kind.family == "elementwise"
    assert states_its_jvp or kind.name in ("argmax", "argmin")


def test_every_op_has_cases():
    assert {case.op for case in CASES} == {k.name for k in REGISTRY.values() if k.family not in ("control", "stack")}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_reference_keeps_to_the_type_rule(case):
    for dtype in dtypes_of(case):
        graph = verify(case.graph(dtype))
        arguments = case.operands(dtype)
        before = [a.copy() for a in arguments]
        interpret(graph, arguments, check=True)
        for a, b in zip(arguments, before, strict=True):
            assert a.tobytes() == b.tobytes(), "the reference changed its operand"


CHECKS = ("bound", "agree")
ELEMENTWISE = [k for k in REGISTRY.values() if k.family == "elementwise" and k.name not in ("cast", "where", *CHECKS)]


@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda k: k.name)
def test_the_dtype_rule_is_numpys(kind):
    """On operands of one dtype that the op takes, NumPy gives the dtype that the type rule says."""
    for dtype in NAMES:
        t = TensorType(dtype, (2,))
        if dtype[0] not in kind.dtypes:
            with pytest.raises(IRTypeError, match="does not take"):
                kind.infer((t,) * kind.arity, {})
            continue
        (result,) = kind.infer((t,) * kind.arity, {})
        ones = [np.ones(2, t.np_dtype)] * kind.arity
        for function in kind.numpy[:1]:
            assert function(*ones).dtype == result.np_dtype


@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda k: k.name)
def test_operands_must_agree(kind):
    a = TensorType(next(d for d in NAMES if d[0] in kind.dtypes), (2, 3))
    with pytest.raises(IRTypeError, match=f"takes {kind.arity} operand"):
        kind.infer((a,) * (kind.arity + 1), {})
    if kind.arity > 1:
        other = next((d for d in NAMES if d[0] in kind.dtypes and d != a.dtype), "f32")
        with pytest.raises(IRTypeError, match="one dtype"):
            kind.infer((a, a.with_dtype(other)), {})
        with pytest.raises(IRTypeError, match="do not broadcast"):
            kind.infer((a, a.with_dims((4, 3))), {})


F = TensorType("f32", (2, 3))
REFUSED = [
    ("sum", [F], {"axes": (2,)}, "out of range"),
    ("sum", [F], {"axes": (1, 0)}, "increasing"),
    ("sum", [F], {"axes": (0, 0)}, "repeated"),
    ("sum", [F], {"axes": (-1,)}, "non-negative"),
    ("sum", [F.with_dtype("bool")], {"axes": ()}, "does not take bool"),
    ("max", [F.with_dims((0, 3))], {"axes": (0,)}, "no identity"),
    ("argmax", [F], {"axis": 2}, "out of range"),
    ("argmax", [F.with_dims((0, 3))], {"axis": 0}, "empty axis"),
    ("any", [F], {"axes": ()}, "does not take f32"),
    ("broadcast", [F], {"shape": (3, 2)}, "does not broadcast"),
    ("broadcast", [F], {"shape": (3,)}, "does not broadcast"),
    ("reshape", [F], {"shape": (5,)}, "6 elements"),
    ("reshape", [F], {"shape": (-1, -6)}, "elements"),
    ("transpose", [F], {"perm": (0, 0)}, "not a permutation"),
    ("transpose", [F], {"perm": (0,)}, "not a permutation"),
    ("slice", [F], {"start": (0,), "stop": (1,), "step": (1,)}, "every axis"),
    ("slice", [F], {"start": (0, 0), "stop": (3, 1), "step": (1, 1)}, "out of range"),
    ("slice", [F], {"start": (0, 0), "stop": (1, 1), "step": (0, 1)}, "out of range"),
    ("slice", [F], {"start": (2, 0), "stop": (1, 1), "step": (1, 1)}, "out of range"),
    ("reverse", [F], {"axes": (1, 0)}, "increasing"),
    ("pad", [F, F], {"low": (0, 0), "high": (0, 0)}, "0-d"),
    ("pad", [F, F.with_dims(())], {"low": (0, -1), "high": (0, 0)}, "non-negative"),
    ("concatenate", [F, F.with_dims((2, 4))], {"axis": 0}, "differ off axis"),
    ("concatenate", [F, F.with_dims((2,))], {"axis": 0}, "differ off axis"),
    ("concatenate", [F, F.with_dtype("f64")], {"axis": 0}, "differ off axis"),
    ("concatenate", [F], {"axis": 2}, "out of range"),
    ("concatenate", [], {"axis": 0}, "needs an operand"),
    ("gather", [F, F], {"axes": (0,)}, "must be i64"),
    ("gather", [F, TensorType("i64", (2,))], {"axes": (0, 1)}, "one index array for each"),
    ("gather", [F.with_dims((0, 3)), TensorType("i64", (2,))], {"axes": (0,)}, "is empty"),
    ("scatter_add", [F, TensorType("i64", (4,)), F], {"axes": (0,)}, "updates must be"),
    ("scatter", [F, TensorType("i64", (4,)), F], {"axes": (0,)}, "updates must be"),
    ("update", [F, F], {"start": (0, 0), "stop": (1, 3), "step": (1, 1)}, r"the slice is f32\[1, 3\]"),
    ("update", [F, F], {"start": (0, 0), "stop": (3, 3), "step": (1, 1)}, "out of range"),
    ("dynamic_slice", [F, TensorType("i64")], {"sizes": (1, 1)}, "a start for every axis"),
    ("dynamic_slice", [F, *[TensorType("i64")] * 2], {"sizes": (1, 4)}, "does not fit"),
    ("dynamic_slice", [F, *[TensorType("i32")] * 2], {"sizes": (1, 1)}, "0-d i64"),
    ("dynamic_update", [F, F.with_dtype("f64"), *[TensorType("i64")] * 2], {}, "into f32"),
    ("dynamic_update", [F, F.with_dims((3, 1)), *[TensorType("i64")] * 2], {}, "does not fit"),
    ("bound", [TensorType("i32")], {"size": 1, "axis": 0}, "must be i64"),
    ("bound", [TensorType("i64")], {"size": -1, "axis": 0}, "no index fits"),
    ("sort", [F], {"axis": 2, "kind": "stable"}, "out of range"),
    ("argsort", [F], {"axis": 0, "kind": "bubble"}, "is none of"),
    ("partition", [F], {"axis": 0, "kth": (2,)}, "out of range"),
    ("ranked", [F], {"axis": 0, "ranks": ()}, "out of range"),
    ("at_ranks", [F, F], {}, r"ranks \(i64\)"),
    ("searchsorted", [F, F.with_dims((3,))], {"side": "left"}, "values for each"),
    ("searchsorted", [F, F], {"side": "middle"}, "neither left nor right"),
    ("push", [F], {}, "takes a stack"),
    ("push", [TensorType("stack"), TensorType("stack")], {}, "takes a stack and arrays"),
    ("pop", [F], {"types": ("f32",)}, "takes a stack"),
    ("pop", [TensorType("stack")], {"types": ("f32[-1]",)}, "types of arrays"),
    ("dot", [F, F], {"batch": ((), ()), "contract": ((1,), (0,))}, "does not match"),
    ("dot", [F, F], {"batch": ((0,), ()), "contract": ((), ())}, "pair up"),
    ("dot", [F, F], {"batch": ((0,), (0,)), "contract": ((0,), (0,))}, "twice"),
    ("dot", [F, F.with_dtype("f64")], {"batch": ((), ()), "contract": ((1,), (1,))}, "one numeric dtype"),
    ("where", [F, F, F], {}, "takes a bool"),
    ("cast", [F], {"dtype": "f31"}, "no dtype"),
    ("iota", [], {"shape": (3,), "axis": 1, "dtype": "f32"}, "out of range"),
    ("iota", [], {"shape": (-3,), "axis": 0, "dtype": "f32"}, "iota: "),
    ("iota", [], {"shape": (3,), "axis": 0, "dtype": "f31"}, "iota: "),
]


@pytest.mark.parametrize("name, types, attrs, said", REFUSED, ids=lambda x: x if isinstance(x, str) else "")
def test_type_rules_refuse(name, types, attrs, said):
    with pytest.raises(IRTypeError, match=said):
        REGISTRY[name].infer(tuple(types), attrs)


def test_against_numpy_where_the_reference_is_not_numpys_function():
    """The references that are written out here, against NumPy's nearest."""

    def run(name, *arrays, **attrs):
        return REGISTRY[name].reference(*arrays, **attrs)

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2, 5))
    got = run("dot", a, b, batch=((0,), (1,)), contract=((2,), (0,)))
    np.testing.assert_allclose(got, np.einsum("bij,jbk->bik", a, b))
    got = run("dot", a, b, batch=((), ()), contract=((0, 2), (1, 0)))
    np.testing.assert_allclose(got, np.einsum("bij,jbk->ik", a, b))
    np.testing.assert_array_equal(
        run("pad", a, np.float64(7), low=(1, 0, 2), high=(0, 1, 1)),
        np.pad(a, ((1, 0), (0, 1), (2, 1)), constant_values=7),
    )
    i, j = np.array([[1], [0]]), np.array([3, 0, 3])
    np.testing.assert_array_equal(run("gather", a, i, j, axes=(0, 2)), a[i, :, j])
    np.testing.assert_array_equal(run("gather", a, i, axes=(0,)), a[i])
    np.testing.assert_array_equal(run("gather", a, j, axes=(2,)), np.moveaxis(a[:, :, j], 2, 0))
    updates = rng.normal(size=(2, 3, 3))
    want = a.copy()
    for r, s in itertools.product(range(2), range(3)):
        want[i[r, 0], :, j[s]] += updates[r, s]
    np.testing.assert_allclose(run("scatter_add", a, i, j, updates, axes=(0, 2)), want)
    want = a.copy()
    for r, s in itertools.product(range(2), range(3)):
        want[i[r, 0], :, j[s]] = updates[r, s]
    np.testing.assert_array_equal(run("scatter", a, i, j, updates, axes=(0, 2)), want)
    want = a.copy()
    want[1:, ::2, 1:] = b[:1, :, :3]
    got = run("update", a, b[:1, :, :3], start=(1, 0, 1), stop=(2, 3, 4), step=(1, 2, 1))
    np.testing.assert_array_equal(got, want)
    start = [np.int64(1), np.int64(0), np.int64(2)]
    np.testing.assert_array_equal(run("dynamic_slice", a, *start, sizes=(1, 3, 2)), a[1:, :, 2:])
    want = a.copy()
    want[1:, :, 2:] = 7
    np.testing.assert_array_equal(run("dynamic_update", a, np.full((1, 3, 2), 7.0), *start), want)
    np.testing.assert_array_equal(run("iota", shape=(2, 3), axis=1, dtype="i8"), [[0, 1, 2]] * 2)
