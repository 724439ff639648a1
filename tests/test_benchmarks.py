"""The benchmarks' machinery: what becomes of samples, whose results agree, and that every row can be measured.

Nothing here is timed. Works that take long are only looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from benchmarks import in_numpy, in_weft, networks_in_numpy, table, works
from benchmarks.inputs import arrays, lstm, perceptron, transformer
from benchmarks.kinds import KINDS
from benchmarks.peers import BY_NAME as PEERS
from benchmarks.peers import NotMeasured, Session
from benchmarks.picture import draw
from benchmarks.process import PeerFailed, Run, attempt
from benchmarks.record import Record
from benchmarks.results import Measured, Result, compare
from benchmarks.rows import BY_NAME as ROWS
from benchmarks.rows import ROWS as ALL_ROWS
from benchmarks.rows import Row
from benchmarks.worker import Worker, changes, digest
from benchmarks.works import Work

ROOT = Path(__file__).resolve().parent.parent


def result(peer, *samples, **more):
    return Result(peer, "1", samples=list(samples), **more)


def measured(row, **medians):
    return Measured(row, [result(peer.replace("_", "."), seconds) for peer, seconds in medians.items()])


MLP = Row("mlp", "training", "mlp", target=0.85)


def test_the_best_peer_is_the_judge():
    m = measured(MLP, weft=0.8, numpy=2.0, jax=1.0, torch_compile=3.0)
    assert m.best.peer == "jax" and m.ratio == pytest.approx(0.8) and m.met
    assert not measured(MLP, weft=0.9, jax=1.0).met


def test_a_miss_within_the_spread_is_near():
    wide = Measured(MLP, [result("weft", 0.8, 0.9, 1.0), result("jax", 1.0)])
    assert wide.met is False and wide.near and " near" in table.summary([wide])
    narrow = Measured(MLP, [result("weft", 0.899, 0.9, 0.901), result("jax", 1.0)])
    assert narrow.met is False and not narrow.near


def test_a_row_against_jax_looks_at_no_other():
    m = measured(Row("add1", "overhead", "add1", target=0.6, against=("jax",)), weft=0.5, numpy=0.1, jax=1.0)
    assert m.best.peer == "jax" and m.met


def test_without_weft_or_without_peers_nothing_is_judged():
    assert measured(MLP, jax=1.0).met is None
    assert measured(MLP, weft=1.0).met is None
    assert measured(ROWS["copy"], weft=1.0, numpy=2.0).met is None  # nothing is promised
    assert Measured(MLP, [Result("weft", None, "not installed"), result("jax", 1.0)]).met is None


@pytest.mark.parametrize("note", ["refused: np.sort can't be traced", "failed: no answer in 300 s"])
def test_a_refusal_misses(note):
    m = Measured(MLP, [Result("weft", "1", note), result("numpy", 1.0)])
    assert m.met is False
    assert note in table.block(m) and note.split(":")[0] in table.summary([m]) and "MISSED" in table.summary([m])


def test_a_limit_asks_for_no_peer_and_for_no_compilation():
    row = ROWS["new-size"]
    assert Measured(row, [result("weft", 0.0005, compiles=0)]).met
    assert not Measured(row, [result("weft", 0.002, compiles=0)]).met
    assert not Measured(row, [result("weft", 0.0005, compiles=1)]).met


def test_the_spread_is_half_the_range_between_the_quartiles():
    r = result("weft", 1.0, 2.0, 3.0, 4.0, 5.0)
    assert r.median == 3.0 and r.spread == pytest.approx((4.5 - 1.5) / 2 / 3.0)
    assert result("weft", 1.0).spread == 0.0


def test_digests_tell_order_and_values_apart():
    x = np.random.default_rng(0).standard_normal(1000)
    same, other = digest((x, [x])), digest((np.sort(x), [x]))
    assert len(same) == 4 and same[0] == other[0] and same[1] != other[1]
    assert digest({"b": x, "a": 2 * x}) == digest([2 * x, x])


def test_a_step_is_judged_by_what_it_changes():
    before = [(np.ones(3), np.zeros(2))]
    listed = changes(([(np.ones(3) + 1e-3, np.zeros(2))], 5.0), before)
    flat = changes(([np.ones(3) + 1e-3, np.zeros(2)], 5.0), before)
    assert digest(listed) == digest(flat) and digest(listed)[0] == pytest.approx(1.0)


def test_results_that_differ_are_noted():
    x = np.random.default_rng(0).standard_normal(100)
    good, close, wrong = (Result(p, "1", digest=digest(v)) for p, v in
                          (("numpy", x), ("weft", x * (1 + 1e-4)), ("jax", np.sort(x))))  # fmt: skip
    compare([close, wrong, good])
    assert not good.note and not close.note and "differs from numpy's" in wrong.note
    weft, jax = Result("weft", "1", digest=[1.0, 0.0]), Result("jax", "1", digest=[2.0, 0.0])
    compare([weft, jax])
    assert weft.note and not jax.note  # weft is never its own judge


def test_a_peer_that_failed_is_not_asked_again():
    def fail():
        raise PeerFailed("failed: died")

    r = result("jax", 1.0)
    attempt(r, fail)
    attempt(r, lambda: pytest.fail("asked again"))
    assert r.note == "failed: died" and not r.samples


def test_names_may_have_stars():
    parse = table.names({"gelu": 1, "gelu-grad": 2, "mlp": 3})
    assert parse("gelu*") == ["gelu", "gelu-grad"] and parse("mlp, gelu") == ["gelu", "mlp"]
    for text in ("gelo", "gelu,sgelu*", ""):
        with pytest.raises(ValueError, match="choose from gelu, gelu-grad, mlp; not"):
            parse(text)


def test_a_block_names_who_was_not_measured():
    absent = [Result("numba", "1", "not measured"), Result("torch", None, "not installed")]
    text = table.block(Measured(MLP, [result("weft", 0.002), result("numpy", 0.004, first=0.5), *absent], 0.3))
    lines = [line.split() for line in text.splitlines()]
    assert lines[1][:6] == ["weft", "2.00", "ms", "±", "0", "%"] and lines[1][6] == "0.50"
    assert lines[2][-3:] == ["first", "500", "ms"] and lines[3] == ["torch", "not", "installed"]
    assert "(not measured: numba)" in text and "kept 0.30 processors busy" in text


def test_numbers_are_shown_with_three_digits():
    shown = [table.duration(s) for s in (2.5, 0.0321, 1.5e-4, 7e-8)]
    assert shown == ["2.50 s", "32.1 ms", "150 us", "70.0 ns"]
    assert table.size(300e6) == "300 MB"


def test_every_row_has_a_work_and_every_work_a_row():
    assert {row.work for row in ALL_ROWS} - {""} == set(works.BY_NAME)
    assert {row.kind for row in ALL_ROWS} == set(KINDS) and len(ROWS) == len(ALL_ROWS)
    assert set(in_weft.WORKS) == set(works.BY_NAME)
    assert set(in_numpy.WORKS) <= set(works.BY_NAME)


def test_a_record_is_read_back_and_drawn(tmp_path):
    record = Record("some machine", {"weft": "1", "jax": None})
    for m in (measured(ROWS["mlp"], weft=1.0, jax=2.0), measured(ROWS["gelu"], weft=3.0, numpy=2.0)):
        record.add(m)
    record.add(Measured(ROWS["sort"], [Result("weft", "1", "refused: no <sort>"), result("numpy", 1.0)], 0.5))
    record.add(Measured(ROWS["new-size"], [result("weft", 0.1, compiles=4)]))
    record.write(tmp_path / "out.json")
    again = Record.read(tmp_path / "out.json")
    assert again == record and [m.row.name for m in again.measured] == ["gelu", "mlp", "sort", "new-size"]
    text = table.summary(again.measured)
    assert "1 of 4 promises met" in text and "4 compiles, not 0" in text and "(0.5 others)" in text
    root = ET.fromstring(draw(again.measured, again.machine))
    svg = "{http://www.w3.org/2000/svg}"
    texts = {element.text for element in root.iter(f"{svg}text")}
    assert {"gelu", "mlp", "0.50 of jax", "1.50 of numpy", "refused", "some machine; 1 of 4 promises met"} <= texts
    assert len(root.findall(f"{svg}rect[@class='missed']")) == 2 and len(root.findall(f"{svg}rect[@class='met']")) == 1


def test_rows_that_are_no_more_are_left_out(tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"machine": "", "versions": {}, "rows": [{"row": "gone", "others": 0, "results": []}]}))
    assert Record.read(file).measured == []


def small_works():
    """Works of each form, small enough for tests."""
    adam = works.BY_NAME["adam-list"].inputs
    return {
        "gelu-grad": arrays(x=(30,), dy=(30,)),
        "layernorm-grad": arrays(x=(5, 8), dy=(5, 8), gamma=(8,), beta=(8,)),
        "softmax-grad": arrays(x=(5, 8), dy=(5, 8)),
        "crossentropy-grad": lambda rng: {"x": rng.standard_normal((5, 8), np.float32), "labels": np.arange(5)},
        "var-columns": arrays(x=(6, 7)),
        "pairwise": arrays(x=(4, 3), y=(5, 3)),
        "adam-list": lambda rng: {k: [a[:2, :2] for a in v[:2]] for k, v in adam(rng).items()},
        "momentum-list": lambda rng: {k: [a[:2, :2].copy() for a in v[:2]] for k, v in adam(rng).items()},
        "dot-nt-f64": arrays(np.float64, a=(3, 4), b=(5, 4)),
        "mlp-adam": perceptron(6, 5, 3, batch=4),
        "digits": perceptron(6, 5, 3, batch=4),
        "gather-grad": lambda rng: {"table": rng.random((9, 3)), "at": np.array([1, 1, 8]), "dy": rng.random((3, 3))},
        "tree": works.BY_NAME["tree"].inputs,
    }


@pytest.mark.parametrize("name", small_works())
def test_weft_does_what_numpy_does(name):
    make = small_works()[name]
    answers = []
    for module in (in_numpy, in_weft):
        inputs = make(np.random.default_rng(0))
        before = make(np.random.default_rng(0)).get("params")
        done = module.WORKS[name](inputs)()
        answers.append(Result(module.__name__, "1", digest=digest(done if before is None else changes(done, before))))
    compare(answers)
    assert answers[0].digest and not any(r.note for r in answers)


@pytest.mark.parametrize("loss, make", [(networks_in_numpy.transformer, transformer(2, 2, 3, width=8)),
                                        (networks_in_numpy.lstm, lstm(9, 2, 4))])  # fmt: skip
def test_networks_learn(loss, make):
    inputs = make(np.random.default_rng(0))
    before = loss(inputs["params"], inputs["x"], inputs["y"])
    call = in_weft.sgd(loss)(inputs)
    values = [call()[1] for _ in range(20)]
    assert values[0] == pytest.approx(before, rel=1e-5) and values[-1] < values[0]


class FakeModule:
    """A peer that does two things, one of them wrongly."""

    WORKS = {"gelu": lambda inputs: lambda: inputs["x"], "mlp": lambda inputs: lambda: 1 / 0}

    @staticmethod
    def warm():
        pass

    @staticmethod
    def finish(result):
        return result


@pytest.fixture
def fake(monkeypatch):
    make = arrays(x=(4,))
    monkeypatch.setattr(works, "BY_NAME", {n: Work(n, "", make) for n in ("gelu", "mlp", "lstm")})
    return Worker(Session(PEERS["numpy"], FakeModule))


def test_a_worker_answers_or_says_why_not(fake):
    answer = fake.answer("first", work="gelu")
    assert answer["first"] >= 0 and len(answer["digest"]) == 2
    assert fake.answer("first", work="mlp") == {"note": "failed: ZeroDivisionError: division by zero"}
    assert fake.answer("first", work="lstm") == {"note": "not measured"}
    fake.answer("first", work="gelu")
    assert fake.answer("settle", seconds=0.0) == {} and len(fake.answer("round")["samples"]) > 0


def test_a_refusal_is_told_from_a_failure(fake, monkeypatch):
    import weft

    def refuse(inputs):
        raise weft.WeftError("can't be traced\nbecause")

    monkeypatch.setitem(FakeModule.WORKS, "gelu", refuse)
    assert fake.answer("first", work="gelu") == {"note": "refused: WeftError: can't be traced"}


def test_torch_compile_does_only_what_is_worth_its_wait(monkeypatch):
    session = Session(PEERS["numpy"], FakeModule)
    session.compile = lambda f: f
    with pytest.raises(NotMeasured):
        session.build(Work("gelu", "", arrays(x=(4,)), inductor=False), {})


def test_an_installation_is_added_up_by_package(tmp_path):
    from benchmarks.kinds.installed import sizes

    site = tmp_path / "lib" / "python3" / "site-packages"
    for path, size in (("numpy/core/a.so", 30), ("numpy/b.py", 5), ("weft.py", 2), ("numpy.libs/c.so", 7)):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(b"x" * size)
    (tmp_path / "pyvenv.cfg").write_text("home")
    assert sizes(tmp_path) == {"numpy": 35, "weft.py": 2, "numpy.libs": 7, "pyvenv.cfg": 4}


def test_turns_are_passed_on_when_they_have_lasted(tmp_path, monkeypatch):
    from benchmarks import turns

    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lock"

    def free():
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    mine = turns.Turns(path)
    mine.begin()
    mine.end()
    assert not free()  # it has not lasted long
    monkeypatch.setattr(turns, "MOST", -1.0)
    mine.begin()
    mine.end()
    assert free()
    nobody = turns.Turns(None)
    nobody.begin()
    nobody.end()


def test_a_process_that_dies_is_noted(tmp_path):
    run = Run([PEERS["numpy"]], tmp_path)
    with run.fresh(PEERS["numpy"]) as worker:
        worker.process.kill()
        with pytest.raises(PeerFailed, match="exit status -9"):
            worker.ask("round")


def run_benchmarks(*arguments, code=0):
    done = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_one_command_measures_all_kinds(tmp_path):
    file, picture = tmp_path / "out.json", tmp_path / "out.svg"
    rows = ["add1", "mlp-first", "mlp-cold", "mlp-cached", "new-size", "mlp-memory"]
    options = ("--peers", "weft,numpy", "--quick", "--json", str(file))
    out = run_benchmarks("--only", ",".join(rows), *options, "--picture", str(picture))
    assert "differs" not in out and "failed" not in out and "refused" not in out
    results = json.loads(file.read_text())["rows"]
    assert [r["row"] for r in results] == ["add1", *rows[1:]]
    assert all(r["results"][0]["peer"] == "weft" and r["results"][0]["median"] > 0 for r in results)
    assert ET.parse(picture)
    run_benchmarks("--only", "tree", *options, "--go-on")
    assert [r["row"] for r in json.loads(file.read_text())["rows"]] == ["add1", "tree", *rows[1:]]
    assert "add1" in run_benchmarks("--json", str(file), "--show")


def test_the_curve_of_compile_times_is_printed():
    from benchmarks.compile_time import compiled, exponent

    found = compiled("mixed", 40)
    assert found["ops"] > 20 and {"capture", "passes", "kernels", "object code", "rest"} == set(found["seconds"])
    assert exponent(None, (10, 1.0)) == "" and exponent((10, 1.0), (100, 100.0)) == "2.00"


def test_unknown_names_are_refused():
    assert "not gelo" in run_benchmarks("--only", "gelo", code=2)
    assert "need --json" in run_benchmarks("--show", code=2)
