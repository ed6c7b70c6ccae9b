"""`rnnc compile`, `run` and `verify`: files in, files out, and what may be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rnnc import verification
from rnnc.arrays import write_arrays
from tests.cli.conftest import Rnnc
from tests.cli.specs import ELMAN
from tests.tolerance import tolerance

SIZES = ("-D", "X=3,H=4")
STEPS, BATCH = 5, 2


@pytest.fixture
def elman(tmp_path: Path) -> str:
    (tmp_path / "elman.rnn").write_text(ELMAN)
    return "elman.rnn"


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(STEPS, BATCH, 3)).astype(np.float32)
    params = {
        "elman.W": random.normal(size=(4, 3)).astype(np.float32),
        "elman.U": random.normal(size=(4, 4)).astype(np.float32),
        "elman.b": random.normal(size=4).astype(np.float32),
    }
    np.savez(tmp_path / "x.npz", x=x)
    write_arrays(tmp_path / "params.npz", params)
    return {"x": x, **params}


def by_hand(arrays: dict[str, np.ndarray]) -> np.ndarray:
    h = np.zeros((BATCH, 4))
    steps = []
    for x in arrays["x"]:
        pre = x @ arrays["elman.W"].T + h @ arrays["elman.U"].T + arrays["elman.b"]
        h = np.tanh(pre)
        steps.append(h)
    return np.stack(steps)


@pytest.mark.parametrize("kind", ["ast", "ir", "opt", "plan", "tir", "asm"])
def test_every_stage_is_text_on_stdout(rnnc: Rnnc, elman: str, kind: str) -> None:
    result = rnnc("compile", elman, *SIZES, f"--emit={kind}")
    assert (result.code, result.err) == (0, "")
    assert len(result.out.splitlines()) > 5
    assert rnnc("compile", elman, *SIZES, f"--emit={kind}").out == result.out


def test_several_kinds_are_files_beside_each_other(rnnc: Rnnc, elman: str, tmp_path: Path) -> None:
    result = rnnc("compile", elman, *SIZES, "--emit", "lib,ir,ast", "-o", "out")
    assert (result.code, result.out) == (0, "")
    assert result.err == "wrote out.ast\nwrote out.rir\nwrote out.rnnlib\n"
    assert sorted(p.name for p in tmp_path.glob("out.*")) == ["out.ast", "out.rir", "out.rnnlib"]


def test_the_ir_is_accepted_as_input(rnnc: Rnnc, elman: str, tmp_path: Path) -> None:
    assert rnnc("compile", elman, *SIZES, "-o", "a.rir").code == 0  # the suffix says it
    again = rnnc("compile", "a.rir", "--emit=ir")
    assert (again.code, again.out) == (0, (tmp_path / "a.rir").read_text())
    assert rnnc("verify", "a.rir").code == 0


@pytest.mark.parametrize("what", ["elman.rnn", "elman.rnnlib"])
def test_run_gives_what_the_equations_say(
    rnnc: Rnnc, elman: str, arrays: dict[str, np.ndarray], tmp_path: Path, what: str
) -> None:
    sizes: tuple[str, ...] = SIZES
    if what.endswith("lib"):
        assert rnnc("compile", elman, *SIZES).err == "wrote elman.rnnlib\n"
        sizes = ()
    result = rnnc("run", what, *sizes, "-p", "params.npz", "-i", "x.npz", "-o", "y.npz")
    assert (result.code, result.err) == (0, "wrote y.npz\n")
    with np.load(tmp_path / "y.npz") as outputs:
        assert outputs.files == ["y"]
        y = outputs["y"]
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, by_hand(arrays), **tolerance(np.float32, STEPS))


def test_run_without_output_prints_a_summary(
    rnnc: Rnnc, elman: str, arrays: dict[str, np.ndarray]
) -> None:
    result = rnnc("run", elman, *SIZES, "-p", "params.npz", "-i", "x.npz")
    row = result.out.splitlines()[1].split()
    assert (result.code, row[:2]) == (0, ["y", "float32"])
    assert "[5, 2, 4]" in result.out
    np.testing.assert_allclose(float(row[-1]), by_hand(arrays).max(), rtol=1e-3)


def test_verify_agrees_and_can_fail(
    rnnc: Rnnc, elman: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = rnnc("verify", elman, *SIZES, "--extent", "T=4")
    assert result.code == 0
    assert "agree" in result.err

    def off_by_a_little(*arguments: object, **options: object) -> object:
        computed = {name: a + np.float32(1e-3) for name, a in arguments[4].items()}  # type: ignore[attr-defined]
        return compare(*arguments[:4], computed, **options)  # type: ignore[arg-type, call-arg]

    compare = verification.compare
    monkeypatch.setattr(verification, "compare", off_by_a_little)
    result = rnnc("verify", elman, *SIZES, "--extent", "T=4")
    assert result.code == 3
    assert "DIFFERS" in result.out


def test_verify_reports_what_narrow_weights_cost(rnnc: Rnnc, elman: str) -> None:
    def row(*options: str) -> list[str]:
        result = rnnc("verify", elman, *SIZES, *options)
        assert result.code == 0, result
        return result.out.splitlines()[1].split()

    exact, narrow = row(), row("--weights", "bf16")
    assert float(narrow[-4]) > 100 * float(exact[-4]), "the difference"
    assert float(exact[-2]) < float(narrow[-4]) <= float(narrow[-2]), "between what is allowed"
    assert float(narrow[-3]) > float(narrow[-4]), "relative to outputs below one"


def test_verify_says_what_tensor_cores_cost_without_a_gpu(
    rnnc: Rnnc, elman: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnc.runtime.cuda.gpus.capabilities", lambda: "no NVIDIA driver")
    cost = {}
    for math in ("bf16", "tf32", "3xtf32"):
        result = rnnc("verify", elman, *SIZES, "--target", "cuda", "--math", math)
        assert result.code == 0 and f"this is what {math} costs" in result.err
        *_, difference, _, allowed, said = result.out.splitlines()[1].split()
        assert said == "interpreted"
        cost[math] = float(difference)
        assert cost[math] < float(allowed)
    assert cost["bf16"] > 2 * cost["tf32"] > 100 * cost["3xtf32"]


@pytest.mark.parametrize("extent", [0, 1])
@pytest.mark.parametrize("batch", [0, 1])
def test_verify_at_the_edges(rnnc: Rnnc, elman: str, extent: int, batch: int) -> None:
    result = rnnc("verify", elman, *SIZES, "--extent", f"T={extent}", "--batch", batch)
    assert result.code == 0, result


@pytest.mark.parametrize(
    "output", ["missing/y.npz", "folder"], ids=["no folder", "a folder of that name"]
)
def test_an_unwritable_output_leaves_nothing(
    rnnc: Rnnc, elman: str, arrays: dict[str, np.ndarray], tmp_path: Path, output: str
) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for command in (
        ("run", elman, *SIZES, "-p", "params.npz", "-i", "x.npz", "-o", output),
        ("compile", elman, *SIZES, "--emit=ir", "-o", output),
        ("compile", elman, *SIZES, "-o", output),
    ):
        result = rnnc(*command)
        assert result.code == 1, command
        assert "error[RNN792]: cannot write" in result.err, command
        assert sorted(tmp_path.rglob("*")) == before, command


def test_a_missing_size_is_asked_for(rnnc: Rnnc, elman: str) -> None:
    result = rnnc("compile", elman, "-D", "X=3", "--emit=ir")
    assert result.code == 1
    assert "H" in result.err
    assert "-D H=" in result.err


def test_a_missing_size_is_asked_for_before_arrays_are_made_up(rnnc: Rnnc, elman: str) -> None:
    result = rnnc("verify", elman, "-D", "X=3")
    assert (result.code, "error[RNN304]" in result.err) == (1, True)


def test_a_negative_size_is_none(rnnc: Rnnc, elman: str) -> None:
    for command in ("compile", "verify", "explain", "bench"):
        result = rnnc(command, elman, "-D", "X=-3,H=4")
        assert result.code == 1, command
        assert "error[RNN305]: 'X' is -3: a size is a number from 0 on" in result.err, command


@pytest.mark.parametrize("sizes", ["X=0,H=4", "X=3,H=0"])
def test_a_size_of_zero(rnnc: Rnnc, elman: str, sizes: str) -> None:
    result = rnnc("verify", elman, "-D", sizes)
    assert result.code == 0, result


def test_an_unknown_size_model_and_kind(rnnc: Rnnc, elman: str) -> None:
    unknown_size = rnnc("compile", elman, "-D", "X=3,H=4,Q=5", "--emit=ir")
    assert (unknown_size.code, "'Q'" in unknown_size.err) == (1, True)
    unknown_model = rnnc("compile", elman, *SIZES, "--model", "nonsense", "--emit=ir")
    assert (unknown_model.code, "'nonsense'" in unknown_model.err) == (1, True)
    unknown_kind = rnnc("compile", elman, *SIZES, "--emit=nonsense")
    assert unknown_kind.code == 2


def test_an_unknown_target_is_a_missing_tool(rnnc: Rnnc, elman: str) -> None:
    for target in ("abacus", "cpu:abacus"):
        result = rnnc("compile", elman, *SIZES, "--target", target)
        assert result.code == 4, result
        assert "error[RNN701]" in result.err


def test_no_compiler_is_a_missing_tool(
    rnnc: Rnnc, elman: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CC", raising=False)
    result = rnnc("compile", elman, *SIZES)
    assert (result.code, "error[RNN702]" in result.err) == (4, True)
    assert not list(tmp_path.glob("*.rnnlib"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"elman.b": None}, "elman.b"),
        ({"elman.Q": np.zeros(3)}, "elman.Q"),
        ({"elman.W": np.zeros((3, 4), np.float32)}, "elman.W"),
        ({"elman.W": np.full((4, 3), "a")}, "elman.W"),
    ],
    ids=["missing", "extra", "shape", "dtype"],
)
def test_wrong_parameters_are_named(
    rnnc: Rnnc,
    elman: str,
    arrays: dict[str, np.ndarray],
    tmp_path: Path,
    change: dict[str, np.ndarray | None],
    said: str,
) -> None:
    params = {name: array for name, array in arrays.items() if name != "x"} | change
    write_arrays(tmp_path / "p.npz", {n: a for n, a in params.items() if a is not None})
    result = rnnc("run", elman, *SIZES, "-p", "p.npz", "-i", "x.npz", "-o", "y.npz")
    assert result.code == 1
    assert "error[RNN7" in result.err
    assert said in result.err
    assert not (tmp_path / "y.npz").exists()


def test_a_damaged_library(rnnc: Rnnc, elman: str, tmp_path: Path) -> None:
    rnnc("compile", elman, *SIZES)
    library = tmp_path / "elman.rnnlib"
    whole = library.read_bytes()
    for damaged in (b"", b"nonsense", whole[: len(whole) // 2], whole[:-100] + bytes(100)):
        library.write_bytes(damaged)
        result = rnnc("run", "elman.rnnlib")
        assert result.code == 1
        assert "error[RNN7" in result.err


def test_bench_reports_a_time(rnnc: Rnnc, elman: str) -> None:
    result = rnnc("bench", elman, *SIZES, "--seconds=0.01", "--extent=T=3")
    assert result.code == 0
    assert "median of" in result.out


def test_bench_measures_no_less_than_no_time(rnnc: Rnnc, elman: str) -> None:
    assert rnnc("bench", elman, *SIZES, "--seconds", "-1").code == 2


def test_extents_that_no_input_tells(rnnc: Rnnc, tmp_path: Path) -> None:
    (tmp_path / "free.rnn").write_text(
        "model free{H}:\n    dim t in 0..T\n    input h0: [H]\n"
        "    output h[t] = 0.5 * h[t-1]\n    h[-1] = h0\n"
    )
    assert rnnc("verify", "free.rnn", "-D", "H=3", "--extent", "T=4").code == 0
    assert rnnc("bench", "free.rnn", "-D", "H=3", "--seconds=0.01").code == 0


def test_c_library(rnnc: Rnnc, elman: str, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    given = ("compile", elman, *SIZES, "--emit", "c-library", "-o", "made/here")
    assert rnnc(*given, "--embed-weights", "params.npz").code == 0
    header = (tmp_path / "made" / "here" / "include" / "net.h").read_text()
    assert "net_load_embedded" in header and "net_step" in header
    (tmp_path / "no_params.npz").unlink(missing_ok=True)
    write_arrays(tmp_path / "no_params.npz", {"elman.W": arrays["elman.W"]})
    refused = rnnc(*given, "--embed-weights", "no_params.npz")
    assert refused.code == 1 and "RNN721" in refused.err
    assert rnnc("compile", elman, *SIZES, "--embed-weights", "params.npz").code == 2


def test_without_nvcc(rnnc: Rnnc, elman: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is the source alone, which is said; a library is refused."""
    monkeypatch.setenv("PATH", "")
    given = ("compile", elman, *SIZES, "--target", "cuda", "-o")
    made = rnnc(*given, "made")
    assert made.code == 0 and "no nvcc" in made.err and "wrote made" in made.err
    assert "RNN702" in rnnc(*given, "made.rnnlib").err


@pytest.mark.parametrize("kind", ["c-library", "ort-op"])
def test_c_libraries_are_for_processors(rnnc: Rnnc, elman: str, kind: str) -> None:
    refused = rnnc("compile", elman, *SIZES, "--target", "cuda", "--emit", kind)
    assert "RNN701" in refused.err and "for CUDA" in refused.err
