"""Conditioning, translation, attention, memory networks (sections 21 to 24, 29, 30)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.layers import LSTM, Outputs, Sizes, State
from tests.oracles.mathematics import rows, sigmoid, softmax, weighted


def additive(p: Arrays, query: Floats, memory: Floats) -> Floats:
    """Bahdanau's alignment of one query with every row of `memory`."""
    scores = [p["v_a"] @ np.tanh(p["W_a"] @ query + p["U_a"] @ row) for row in memory]
    return softmax(np.array(scores, np.float64))


# ---- seq2seq (section 21) ---------------------------------------------------------------------


def encoded(p: Arrays, source: Sequence[int], n: Sizes) -> list[State]:
    """The encoder's last state of every layer."""
    below, last = [p["E_s"][token] for token in source], list[State]()
    for layer in range(n["L"]):
        own = p.under(f"stacked_lstm.lstm[{layer}]")
        states = LSTM.layer(own, below, LSTM.zero(n["H"]))
        below = [state[0] for state in states]
        last.append(states[-1] if states else LSTM.zero(n["H"]))
    return last


def decoder_step(p: Arrays, token: int, states: list[State]) -> tuple[Floats, list[State]]:
    """The logits behind one more target token, and the new state of every layer."""
    below, new = p["E_t"][token], list[State]()
    for layer, state in enumerate(states):
        new.append(LSTM.step(p.under(f"lstm[{layer}]"), below, state))
        below = new[-1][0]
    return p["W_y"] @ below + p["b_y"], new


def seq2seq(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    states = encoded(p, x.ints("source").tolist(), n)
    fed = [int(x.ints("bos")), *x.ints("target").tolist()]
    found = []
    for t in range(n["T"]):
        logits, states = decoder_step(p, fed[t], states)
        found.append(logits)
    return {"logits": rows(found, n["V"])}


def seq2seq_greedy(bos: int, eos: int) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        states = encoded(p, x.ints("source").tolist(), n)
        token, tokens, length = bos, list[int](), 0
        for _ in range(n["T"]):
            if eos in tokens:
                token = eos
            else:
                logits, states = decoder_step(p, token, states)
                token = int(np.argmax(logits))
                length += 1
            tokens.append(token)
        return {"token": np.array(tokens, np.int64), "length": np.array(length)}

    return oracle


# ---- attention (sections 22 to 24) ------------------------------------------------------------


def bahdanau_decoder(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    s, before = x["s0"], np.zeros(n["Y"])
    states, contexts = [], []
    for i in range(n["T"]):
        c = weighted(additive(p, s, x["a"]), x["a"])
        r = sigmoid(p["W_r"] @ before + p["U_r"] @ s + p["C_r"] @ c)
        z = sigmoid(p["W_z"] @ before + p["U_z"] @ s + p["C_z"] @ c)
        cand = np.tanh(p["W"] @ before + p["U"] @ (r * s) + p["C"] @ c)
        s = (1 - z) * s + z * cand
        before = x["y"][i]
        states.append(s)
        contexts.append(c)
    return {"state": rows(states, n["H"]), "context": rows(contexts, n["A"])}


def bahdanau_readout(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    decoder = bahdanau_decoder(p.under("bahdanau_decoder"), x, n)
    states = [x["s0"], *decoder["state"]]
    before = [np.zeros(n["Y"]), *x["y"]]
    found = []
    for i in range(n["T"]):
        seen = np.concatenate([states[i], before[i], decoder["context"][i]])
        linear = p["readout.W"] @ seen
        maxout = np.array([max(linear[2 * k], linear[2 * k + 1]) for k in range(n["L"])])
        found.append(p["W_o"] @ maxout)
    return {"logits": rows(found, n["V"])}


def attention_translator(bos: int, eos: int) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def direction(p: Arrays, words: list[Floats], width: int) -> list[Floats]:
        h, found = np.zeros(width), []
        for word in words:
            h = cells.gru_reset_before(p, word, h)
            found.append(h)
        return found

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        words = [p["E"][token] for token in x.ints("source").tolist()]
        f = direction(p.under("fwd"), words, n["H"])
        b = direction(p.under("bwd"), words[::-1], n["H"])[::-1]
        notes = rows([np.concatenate(pair) for pair in zip(f, b, strict=True)], 2 * n["H"])
        s = np.tanh(p["W_s"] @ (b[0] if b else np.zeros(n["H"])))
        token, tokens = bos, list[int]()
        for _ in range(n["T"]):
            if eos in tokens:
                token = eos
            else:
                c = weighted(additive(p, s, notes), notes)
                heard = np.concatenate([p["E_y"][token], c])
                s = cells.gru_reset_before(p.under("decoder"), heard, s)
                token = int(np.argmax(p["W_y"] @ np.concatenate([s, c])))
            tokens.append(token)
        return {"token": np.array(tokens, np.int64)}

    return oracle


def luong_score(p: Arrays, score: str, h: Floats, a: Floats) -> float:
    match score:
        case "dot":
            return float(h @ a)
        case "general":
            return float(h @ (p["luong_general.W_a"] @ a))
    own = p.under("luong_concat")
    return float(own["v_a"] @ np.tanh(own["W_a"] @ np.concatenate([h, a])))


def luong_decoder(
    score: str = "general", feeding: bool = True
) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, c, attended = x["h0"], x["c0"], np.zeros(n["H"])
        found = []
        for step in x["y"]:
            fed = np.concatenate([step, attended]) if feeding else step
            h, c = cells.lstm(p.under("lstm"), fed, h, c)
            scores = np.array([luong_score(p, score, h, row) for row in x["a"]], np.float64)
            context = weighted(softmax(scores), x["a"])
            attended = np.tanh(p["W_c"] @ np.concatenate([context, h]))
            found.append(p["W_s"] @ attended)
        return {"logits": rows(found, n["V"])}

    return oracle


def simple_attention(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    a, found = np.zeros(n["A"]), []
    for _ in range(n["T"]):
        z = [np.tanh(p["p"] @ a + p["q"] @ row + p["r"]) for row in x["x"]]
        c = weighted(softmax(np.array(z, np.float64)), x["x"])
        a = np.tanh(p["U"] @ a + p["W"] @ c)
        found.append(a)
    return {"y": rows(found, n["A"])}


def caption_rnn(every_step: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, found = np.zeros(n["H"]), []
        for t, step in enumerate(x["x"]):
            a = p["W_xh"] @ step + p["W_hh"] @ h + p["b"]
            if every_step or t == 0:
                a = a + p["W_ih"] @ x["v"]
            h = np.tanh(a)
            found.append(h)
        return {"y": rows(found, n["H"])}

    return oracle


def caption_as_input(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    start = LSTM.step(p.under("lstm"), p["W_i"] @ x["v"], LSTM.zero(n["H"]))
    states = LSTM.layer(p.under("lstm"), list(x["x"]), start)
    return {"y": rows([h for h, _ in states], n["H"])}


def caption_greedy(bos: int, eos: int) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        h, word, said = np.zeros(n["H"]), bos, list[int]()
        for t in range(n["T"]):
            a = p["W_xh"] @ p["E"][word] + p["W_hh"] @ h + p["b"]
            h = np.tanh(a + p["W_ih"] @ x["v"] if t == 0 else a)
            word = eos if eos in said else int(np.argmax(p["W_y"] @ h + p["b_y"]))
            said.append(word)
        return {"word": np.array(said, np.int64)}

    return oracle


def caption_attention(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    h, c, found = np.zeros(n["H"]), np.zeros(n["H"]), []
    for step in x["x"]:
        seen = weighted(additive(p, h, x["region"]), x["region"])
        h, c = cells.lstm(p.under("lstm"), np.concatenate([step, seen]), h, c)
        found.append(h)
    return {"y": rows(found, n["H"])}


def gnmt_decoder(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    """The bottom layer asks; it sees the context of the step before, all others that of now."""
    states, context, found = [LSTM.zero(n["H"])] * n["L"], np.zeros(n["H"]), []
    for step in x["y"]:
        below, new = step, list[State]()
        for layer, state in enumerate(states):
            new.append(
                LSTM.step(p.under(f"lstm[{layer}]"), np.concatenate([below, context]), state)
            )
            h = new[-1][0]
            if layer == 0:
                context = weighted(additive(p, h, x["enc"]), x["enc"])
            below = h if layer <= 1 else h + below
        states = new
        found.append(below)
    return {"top": rows(found, n["H"])}


# ---- memory networks (sections 29, 30) --------------------------------------------------------


def hop(u: Floats, keys: Floats, values: Floats) -> Floats:
    """What the rows of `values` say to a question that is compared with `keys`."""
    return weighted(softmax(keys @ u), values)


def memn2n(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    embedded = [x["x"] @ p[f"E[{k}]"].T for k in range(n["K"] + 1)]
    u = p["E[0]"] @ x["q"]
    for k in range(n["K"]):
        u = u + hop(u, embedded[k], embedded[k + 1])
    return {"answer": softmax(p[f"E[{n['K']}]"].T @ u)}


def memn2n_layerwise(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    keys, values, u = x["x"] @ p["A"].T, x["x"] @ p["C"].T, p["B"] @ x["q"]
    for _ in range(n["K"]):
        u = p["H"] @ u + hop(u, keys, values)
    return {"answer": softmax(p["W"] @ u)}


def memory_network(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    u, evidence = p["B"] @ x["q"], list[int]()
    for _ in range(n["K"]):
        scores = [float(u @ (p["A"] @ row)) for row in x["x"]]
        evidence.append(scores.index(max(scores)))
        u = u + p["A"] @ x["x"][evidence[-1]]
    return {"evidence": np.array(evidence, np.int64), "state": u}


def position_weights(j: int, J: int, D: int) -> Floats:
    """Section 4.1, j and k from 1."""
    return np.array([(1 - j / J) - (k / D) * (1 - 2 * j / J) for k in range(1, D + 1)])


def memn2n_sentences(positions: bool) -> Callable[[Arrays, Arrays, Sizes], Outputs]:
    def encoded(p: Arrays, k: int, words: Sequence[int], n: Sizes) -> Floats:
        found = np.zeros(n["D"])
        for j, word in enumerate(words, start=1):
            weights = position_weights(j, len(words), n["D"]) if positions else 1.0
            found = found + weights * p[f"E[{k}]"][word]
        return found

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        sentences = []
        for row, count in zip(x.ints("word").T.tolist(), x.ints("words").tolist(), strict=True):
            sentences.append(row[:count])
        u = encoded(p, 0, x.ints("question").tolist(), n)

        def memories(k: int) -> Floats:
            found = [encoded(p, k, words, n) for words in sentences]
            ages = [min(age, n["M"] - 1) for age in range(len(found))]
            aged = [row + p[f"ages[{k}]"][age] for row, age in zip(found, ages, strict=True)]
            return rows(aged, n["D"])

        for k in range(n["K"]):
            u = u + hop(u, memories(k), memories(k + 1))
        return {"answer": softmax(p[f"E[{n['K']}]"] @ u)}

    return oracle
