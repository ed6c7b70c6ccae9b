"""The oracles against each other: what an architecture becomes in a special case.

tests/importers holds LSTM, GRU, RNN, stacks and directions against torch and ONNX.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest

from tests.oracles import attention, cells, grids, layers, memory, scans, trees, unitary
from tests.oracles.arrays import Array, Arrays, Floats
from tests.oracles.cases import CASES
from tests.oracles.layers import LSTM
from tests.tolerance import assert_close

X, H, T = 3, 5, 6
SIZES = {"X": X, "H": H, "T": T, "L": 1, "R": T, "C": 1, "N": T, "K": 1, "S": 4}


def drawn(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    return {name: np.asarray(random.normal(size=shape)) for name, shape in shapes.items()}


def close(one: Array, other: Array) -> None:
    assert_close(one, other, np.float64, T)


def prefixed(owner: str, params: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{owner}.{name}": array for name, array in params.items()}


# A cell with all gates in one matrix, and the same as rnnc's lstm.
STACKED = drawn({"W": (4 * H, X), "U": (4 * H, H), "b": (4 * H,)})
BY_GATE = {
    f"{name}_{gate}": part
    for name, stacked in STACKED.items()
    for gate, part in zip("ifgo", np.split(stacked, 4), strict=True)
}
INPUT = np.random.default_rng(1).normal(size=(T, X))


def lstm_states() -> tuple[Floats, Floats]:
    states = LSTM.layer(Arrays(BY_GATE), list(INPUT), LSTM.zero(H))
    return np.array([h for h, _ in states]), np.array([c for _, c in states])


# ---- one LSTM in many guises ------------------------------------------------------------------


def test_md_lstm_of_one_column_is_an_lstm() -> None:
    # Between f and g stand the rows of the forget gate of a neighbour that is not there.
    unused = (np.zeros((H, X)), np.zeros((H, H)), np.zeros(H))
    W, U, b = (
        np.concatenate([STACKED[name][: 2 * H], rows, STACKED[name][2 * H :]])
        for name, rows in zip("WUb", unused, strict=True)
    )
    params = {"W": W, "U": np.stack([U, np.zeros_like(U)]), "b": b}
    oracle = grids.mdlstm_over("RC")
    found = oracle(Arrays(prefixed("mdlstm", params)), Arrays({"x": INPUT[:, None]}), SIZES)
    close(found["y"][:, 0], lstm_states()[0])


def test_row_lstm_of_one_column_is_an_lstm() -> None:
    params: dict[str, Array] = {"K_is[0]": STACKED["W"], "K_ss[0]": STACKED["U"], "b": STACKED["b"]}
    params |= drawn({"K_is[-1]": (4 * H, X), "K_ss[-1]": (4 * H, H), "K_ss[1]": (4 * H, H)})
    found = grids.row_lstm(Arrays(params), Arrays({"x": INPUT[:, None]}), SIZES)
    close(found["y"][:, 0], lstm_states()[0])


def test_diagonal_lstm_of_one_row_is_an_lstm() -> None:
    params = {"W": STACKED["W"], "U_side": STACKED["U"], "b": STACKED["b"]}
    own = Arrays({**params, **drawn({"U_up": (4 * H, H)})})
    found = grids.diagonal(own, INPUT[None], H)
    close(np.array([found[0, t] for t in range(T)]), lstm_states()[0])


def test_a_chain_is_a_tree() -> None:
    """Child-sum and N-ary Tree-LSTM where every node has one child, the node before."""
    W, U, b = (np.split(STACKED[name], 4) for name in "WUb")
    params = {
        "W": np.concatenate([W[0], W[2], W[3]]),
        "U": np.concatenate([U[0], U[2], U[3]]),
        "b": np.concatenate([b[0], b[2], b[3]]),
        "W_f": W[1],
        "U_f": U[1],
        "b_f": b[1],
    }
    before = np.arange(-1, T - 1)
    inputs = {"x": INPUT, "child": before[:, None]}
    found = trees.treelstm_childsum(Arrays(params), Arrays(inputs), SIZES)
    close(found["root"], lstm_states()[0][-1])

    left = np.concatenate([U[0], U[1], np.zeros((H, H)), U[2], U[3]])
    nary = {"W": STACKED["W"], "b": STACKED["b"], "U_l": left}
    nary |= drawn({"U_r": (5 * H, H)})
    inputs = {"x": INPUT, "left": before, "right": np.full(T, -1)}
    found = trees.treelstm_nary(Arrays(prefixed("treelstm_binary", nary)), Arrays(inputs), SIZES)
    close(found["root"], lstm_states()[0][-1])


def test_lstm_with_peepholes_of_zero_or_a_projection_by_one() -> None:
    for cell, extra in (
        (cells.peephole_lstm, {name: np.zeros(H) for name in ("p_i", "p_f", "p_o")}),
        (cells.projected_lstm, {"W_r": np.eye(H)}),
    ):
        h, c = np.zeros(H), np.zeros(H)
        for step in INPUT:
            h, c = cell(Arrays({**STACKED, **extra}), step, h, c)
        close(h, lstm_states()[0][-1])


def test_dilated_layers_of_distance_one_are_a_stack() -> None:
    params = {**prefixed("lstm[0]", BY_GATE)}
    params |= drawn({f"lstm[1].W_{gate}": (H, H) for gate in "ifgo"})
    params |= {f"lstm[1].{k}_{g}": BY_GATE[f"{k}_{g}"] for k in "Ub" for g in "ifgo"}
    sizes, x = {**SIZES, "L": 2}, {"x": INPUT}
    start = {"h0": np.zeros((2, H)), "c0": np.zeros((2, H))}
    one = layers.dilated(LSTM, 1)(Arrays(params), Arrays(x), sizes)
    other = layers.stacked_lstm(Arrays(params), Arrays({**x, **start}), sizes)
    close(one["y"], other["y"])


# ---- plain recurrences ------------------------------------------------------------------------


def test_linear_jordan_is_elman() -> None:
    given = drawn({"W": (H, X), "R": (H, 2), "b": (H,), "V": (2, H), "b_y": (2,)})
    jordan, R, V = Arrays(given), given["R"], given["V"]
    # A hidden state of zero before the first step is an output of b_y.
    inputs = Arrays({"x": INPUT, "y0": given["b_y"], "h0": np.zeros(H)})
    bias = given["b"] + R @ given["b_y"]
    params = {"elman.W": given["W"], "elman.U": R @ V, "elman.b": bias, "V": V, "b_y": given["b_y"]}
    sizes = {**SIZES, "Y": 2}
    one = layers.jordan()(jordan, inputs, sizes)
    other = layers.elman_network()(Arrays(params), inputs, sizes)
    close(one["y"], other["y"])


def test_clockwork_at_one_speed_is_elman() -> None:
    given = drawn({"W[0]": (H, X), "W[1]": (H, X), "b[0]": (H,), "b[1]": (H,)})
    given |= drawn({"U[0,0]": (H, H), "U[0,1]": (H, H), "U[1,1]": (H, H)})
    found = layers.clockwork((1, 1))(Arrays(given), Arrays({"x": INPUT}), {**SIZES, "G": 2})
    U = np.block([[given["U[0,0]"], given["U[0,1]"]], [np.zeros((H, H)), given["U[1,1]"]]])
    W, b = (np.concatenate([given[f"{name}[0]"], given[f"{name}[1]"]]) for name in "Wb")
    h = np.zeros(2 * H)
    for t, step in enumerate(INPUT):
        h = cells.elman(Arrays({"W": W, "U": U, "b": b}), step, h)
        close(found["y"][t], h)


def test_gated_feedback_without_gates_is_a_stack() -> None:
    """Gates of one half, and nothing from other layers."""
    given = drawn({"W[0]": (H, X), "W[1]": (H, H)})
    for i in range(2):
        for j in range(2):
            given[f"w[{i},{j}]"] = np.zeros(X if j == 0 else H)
            given[f"u[{i},{j}]"] = np.zeros(2 * H)
            given |= drawn({f"U[{i},{j}]": (H, H)}) if i == j else {f"U[{i},{j}]": np.zeros((H, H))}
    found = layers.gfrnn(Arrays(given), Arrays({"x": INPUT}), {**SIZES, "L": 2})
    below = list(INPUT)
    for layer in range(2):
        own = {"W": given[f"W[{layer}]"], "U": given[f"U[{layer},{layer}]"] / 2, "b": np.zeros(H)}
        h, above = np.zeros(H), []
        for step in below:
            h = cells.elman(Arrays(own), step, h)
            above.append(h)
        below = above
    close(found["y"][:, H:], np.array(below))


def test_a_mask_that_keeps_everything() -> None:
    given = drawn({"W": (H, X), "U": (H, H), "b": (H,)})
    kept: dict[str, Array] = {"keep_W": np.full((H, X), True), "keep_U": np.full((H, H), True)}
    h = np.random.default_rng(2).normal(size=H)
    one = cells.sparse_rnn(Arrays({**given, **kept}), INPUT[0], h)
    close(one, cells.elman(Arrays(given), INPUT[0], h))


# ---- gates ------------------------------------------------------------------------------------

GRU = drawn(
    {
        **{f"W_{gate}": (H, X) for gate in "rzn"},
        **{f"U_{gate}": (H, H) for gate in "rzn"},
        **dict.fromkeys(("b_r", "b_z", "b_n", "c_n"), (H,)),
    }
)


def test_both_gru_agree_where_the_candidate_is_diagonal() -> None:
    own = {**GRU, "U_n": np.diag(np.diag(GRU["U_n"])), "c_n": np.zeros(H)}
    h = np.random.default_rng(3).normal(size=H)
    close(cells.gru(Arrays(own), INPUT[0], h), cells.gru_reset_before(Arrays(own), INPUT[0], h))
    one, other = (step(Arrays(GRU), INPUT[0], h) for step in (cells.gru, cells.gru_reset_before))
    assert np.max(np.abs(one - other)) > 0.01


def test_mut3_is_a_gru_whose_update_gate_sees_the_input_alone() -> None:
    own = {**GRU, "U_z": np.zeros((H, H)), "c_n": np.zeros(H)}
    mut = {
        "W_xz": -GRU["W_z"],
        "W_hz": np.zeros((H, H)),
        "b_z": -GRU["b_z"],
        "W_xr": GRU["W_r"],
        "W_hr": GRU["U_r"],
        "b_r": GRU["b_r"],
        "W_xh": GRU["W_n"],
        "W_hh": GRU["U_n"],
        "b_h": GRU["b_n"],
    }
    h = np.random.default_rng(3).normal(size=H)
    close(cells.mut3(Arrays(mut), INPUT[0], h), cells.gru_reset_before(Arrays(own), INPUT[0], h))


def test_the_last_chunk_of_onlstm_is_never_written() -> None:
    sizes = (4 * 6 + 2 * 3,)
    given = drawn({"W": (*sizes, X), "U": (*sizes, 6), "b": sizes})
    h, c = np.zeros(6), np.arange(6.0)
    for step in INPUT:
        h, c = cells.onlstm(Arrays(given), step, h, c, chunk=2)
    close(c[4:], np.array([4.0, 5.0]))
    assert np.max(np.abs(c[:4] - np.arange(4.0))) > 0.01


def test_slstm_does_not_depend_on_its_stabilizer() -> None:
    given = drawn({"W": (4 * H, X), "U": (4 * H, H), "b": (4 * H,)})
    zero = np.zeros(H)
    one = (zero, zero, zero, np.full(H, -np.inf))
    h, c, n = zero, zero, zero
    for step in INPUT:
        one = cells.slstm_head(Arrays(given), step, *one)
        i, f, z, o = np.split(given["W"] @ step + given["U"] @ h + given["b"], 4)
        keep = 1 / (1 + np.exp(-f))
        c, n = keep * c + np.exp(i) * np.tanh(z), keep * n + np.exp(i)
        h = 1 / (1 + np.exp(-o)) * c / n
        close(one[0], h)


def test_qrnn_with_its_gates_tied_is_fo_pooling() -> None:
    """1 - sigmoid(f) = sigmoid(-f)."""
    given = drawn({"W[0]": (3 * H, X), "W[1]": (3 * H, X), "b": (3 * H,)})
    tied = {name: np.concatenate([array, -array[H : 2 * H]]) for name, array in given.items()}
    sizes = {**SIZES, "K": 2}
    one = scans.qrnn(Arrays(given), Arrays({"x": INPUT}), sizes)
    close(one["h"], scans.qrnn_ifo(Arrays(tied), Arrays({"x": INPUT}), sizes)["h"])


# ---- lengths are kept -------------------------------------------------------------------------


def test_the_matrix_of_a_urnn_is_unitary() -> None:
    random = np.random.default_rng(6)
    given: dict[str, Array] = {**drawn({f"theta{k}": (H,) for k in (1, 2, 3)})}
    given |= {f"v{k}": random.normal(size=H) + 1j * random.normal(size=H) for k in (1, 2)}
    given["P"] = random.permutation(H)
    matrix = unitary.unitary(Arrays(given))
    close(matrix @ matrix.conj().T, np.eye(H))


# ---- attention and memory ---------------------------------------------------------------------


def test_equal_annotations_are_their_own_context() -> None:
    case = next(case for case in CASES if case.name == "bahdanau_decoder")
    n = case.sizes
    shapes: dict[str, tuple[int, ...]]
    shapes = {
        f"{k}{g}": (n["H"], n[d])
        for k, d in zip("WUC", "YHA", strict=True)
        for g in ("_r", "_z", "")
    }
    shapes |= {"W_a": (n["K"], n["H"]), "U_a": (n["K"], n["A"]), "v_a": (n["K"],)}
    same = np.tile(np.arange(1.0, n["A"] + 1), (n["S"], 1))
    inputs = {**drawn({"y": (n["T"], n["Y"]), "s0": (n["H"],)}), "a": same}
    found = attention.bahdanau_decoder(Arrays(drawn(shapes)), Arrays(inputs), n)
    close(found["context"], np.tile(same[0], (n["T"], 1)))


def test_greedy_tokens_are_what_the_taught_decoder_expects() -> None:
    case = next(case for case in CASES if case.name == "seq2seq_greedy")
    n = {**case.sizes, "X": case.sizes["D"]}
    shapes: dict[str, tuple[int, ...]] = {"E_s": (6, 3), "E_t": (6, 3), "W_y": (6, 5), "b_y": (6,)}
    for owner in ("lstm", "stacked_lstm.lstm"):
        for layer, width in ((0, 3), (1, 5)):
            for gate in "ifgo":
                shapes |= {f"{owner}[{layer}].W_{gate}": (5, width)}
                shapes |= {f"{owner}[{layer}].U_{gate}": (5, 5), f"{owner}[{layer}].b_{gate}": (5,)}
    params = drawn(shapes, seed=12)
    source = np.array([1, 4, 2, 5])
    never = -1  # no token ends the sentence
    greedy = attention.seq2seq_greedy(2, never)(Arrays(params), Arrays({"source": source}), n)
    assert len(set(greedy["token"].tolist())) > 1
    taught = {"source": source, "target": greedy["token"], "bos": np.array(2)}
    logits = attention.seq2seq(Arrays(params), Arrays(taught), n)["logits"]
    assert np.argmax(logits, axis=1).tolist() == greedy["token"].tolist()


def test_adjacent_and_layerwise_memory_networks_meet_where_all_is_tied() -> None:
    E = drawn({"E": (3, 5)})["E"]
    inputs = drawn({"x": (4, 5), "q": (5,)}, seed=1)
    sizes = {"K": 3, "N": 4}
    one = attention.memn2n(Arrays({f"E[{k}]": E for k in range(4)}), Arrays(inputs), sizes)
    tied = {"A": E, "B": E, "C": E, "W": E.T, "H": np.eye(3)}
    other = attention.memn2n_layerwise(Arrays(tied), Arrays(inputs), sizes)
    close(one["answer"], other["answer"])


@pytest.mark.parametrize(("queue", "order"), [(False, [2, 1, 0]), (True, [0, 1, 2])])
def test_strengths_of_one_make_a_stack_or_a_queue(queue: bool, order: list[int]) -> None:
    store, values = memory.Strengths(queue), np.eye(3)
    for value in values:
        store.step(value, 0.0, 1.0)
    # Reading shows the next row; each pop takes one row away.
    shown = [store.step(np.zeros(3), 0.0, 0.0)]
    shown += [store.step(np.zeros(3), 1.0, 0.0) for _ in range(2)]
    close(np.array(shown), values[order])


def test_thoughts_weigh_one_in_all() -> None:
    given = drawn({"elman.W": (H, X + 1), "elman.U": (H, H), "elman.b": (H,), "w": (H,), "b": ()})
    counts = Counter[int]()
    state = np.zeros(H)
    for step in np.random.default_rng(8).normal(size=(40, X)):
        thoughts = memory.act_thoughts(4, 0.01, Arrays(given), step, state)
        state = sum((weight * s for weight, s in thoughts), start=np.zeros(H))
        close(np.array(sum(weight for weight, _ in thoughts)), np.array(1.0))
        counts[len(thoughts)] += 1
    assert len(counts) > 1


@pytest.mark.parametrize("strict", [False, True])
def test_thoughts_are_those_of_the_equations(strict: bool) -> None:
    """Graves 2016: N is the first n with h_1 + ... + h_n >= 1 - eps, R is 1 - (h_1 + ... + h_N-1).

    Halting probabilities of exactly 1/2 meet 1 - eps = 1/2 at once, and 1 at the second thought.
    """
    params: dict[str, Array] = {"elman.W": np.zeros((H, X + 1)), "elman.U": np.zeros((H, H))}
    params |= {"elman.b": np.zeros(H), "w": np.zeros(H), "b": np.zeros(())}
    thoughts = memory.act_thoughts(9, 0.5, Arrays(params), np.ones(X), np.zeros(H), strict)
    assert [weight for weight, _ in thoughts] == ([0.5, 0.5] if strict else [1.0])

    given = drawn({"elman.W": (H, X + 1), "elman.U": (H, H), "elman.b": (H,), "w": (H,), "b": ()})
    p, eps, most = Arrays(given), 0.01, 12
    for step in INPUT:
        states, s = [], np.zeros(H)
        for n in range(most):
            s = cells.elman(p.under("elman"), np.append(step, float(n == 0)), s)
            states.append(s)
        halting = [1 / (1 + np.exp(-(given["w"] @ s + given["b"]))) for s in states]
        sums = np.cumsum(halting)
        enough = [n for n in range(most) if sums[n] >= 1 - eps]
        last = min([*enough, most - 1])
        weights = [*halting[:last], 1 - sum(halting[:last])]
        found = memory.act_thoughts(most, eps, p, step, np.zeros(H), strict)
        close(np.array([weight for weight, _ in found]), np.array(weights))
        close(np.array([state for _, state in found]), np.array(states[: last + 1]))


def test_a_deque_is_a_stack_or_a_queue() -> None:
    """Served at the end where it is filled, or at the other one."""
    random = np.random.default_rng(9)
    stack, queue = memory.Strengths(queue=False), memory.Strengths(queue=True)
    as_stack, as_queue = memory.Ends(), memory.Ends()
    nothing = np.zeros(3)
    for _ in range(8):
        value, (pop, push) = random.normal(size=3), random.uniform(0, 1, 2)
        as_stack.push((value, nothing), (pop, 0.0), (push, 0.0))
        as_queue.push((value, nothing), (0.0, pop), (push, 0.0))
        close(as_stack.read()[0], stack.step(value, pop, push))
        close(as_queue.read()[1], queue.step(value, pop, push))


def test_positions_of_words_make_up_for_each_other() -> None:
    """Weights of a word at j and of one at J - j sum to one over each pair of features."""
    weights = np.array([attention.position_weights(j, 8, 6) for j in range(9)])
    close(weights + weights[::-1], np.ones((9, 6)))
