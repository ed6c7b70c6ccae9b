"""GNMT, put together in steps (section 12): each takes the words of a row, taught the targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.oracles import cells
from tests.oracles.arrays import Arrays, Floats
from tests.oracles.attention import additive
from tests.oracles.layers import LSTM, Outputs, Sizes, both_ways
from tests.oracles.mathematics import rows, sigmoid, weighted

Oracle = Callable[[Arrays, Arrays, Sizes], Outputs]


def words(p: Arrays, x: Arrays) -> tuple[list[Floats], list[Floats]]:
    """The embedded source, and the embedded targets one step late."""
    fed = [int(x.ints("bos")), *x.ints("target").tolist()[:-1]]
    if not len(x.ints("target")):
        fed = []
    return [p["E_s"][w] for w in x.ints("source").tolist()], [p["E_t"][w] for w in fed]


def without_attention(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    source, fed = words(p, x)
    read = LSTM.layer(p.under("encoder"), source, LSTM.zero(n["H"]))
    last = read[-1] if read else LSTM.zero(n["H"])
    said = LSTM.layer(p.under("decoder"), fed, last)
    return {"logits": rows([p["W_y"] @ h for h, _ in said], n["V"])}


def with_attention(
    p: Arrays, decoders: Sequence[Arrays], memory: Floats, fed: Sequence[Floats], n: Sizes
) -> Outputs:
    """A stack of decoders whose top layer asks and whose bottom layer hears, a step later."""
    states = [LSTM.zero(n["H"])] * len(decoders)
    context, found = np.zeros(memory.shape[1]), []
    for word in fed:
        below = np.concatenate([word, context])
        for layer, own in enumerate(decoders):
            states[layer] = LSTM.step(own, below, states[layer])
            below = states[layer][0]
        context = weighted(additive(p.under("score"), below, memory), memory)
        found.append(p["W_y"] @ np.concatenate([below, context]))
    return {"logits": rows(found, n["V"])}


def one_way(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    source, fed = words(p, x)
    read = LSTM.layer(p.under("encoder"), source, LSTM.zero(n["H"]))
    memory = rows([h for h, _ in read], n["H"])
    return with_attention(p, [p.under("decoder")], memory, fed, n)


def both(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    source, fed = words(p, x)
    memory = rows(both_ways(LSTM, p.under("fwd"), p.under("bwd"), source, n["H"]), 2 * n["H"])
    return with_attention(p, [p.under("decoder")], memory, fed, n)


def deep(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    below, fed = words(p, x)
    for layer in range(n["L"]):
        fwd, bwd = (p.under(f"deep_bidirectional.{way}[{layer}]") for way in ("fwd", "bwd"))
        below = both_ways(LSTM, fwd, bwd, below, n["H"])
    decoders = [p.under(f"decoder[{layer}]") for layer in range(n["L"])]
    return with_attention(p, decoders, rows(below, 2 * n["H"]), fed, n)


def whole(residual: bool) -> Oracle:
    """One bidirectional layer; from the third layer on, what goes in is added to what comes out."""

    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        source, fed = words(p, x)
        own = p.under("gnmt_encoder")
        below = both_ways(LSTM, own.under("fwd"), own.under("bwd"), source, n["H"])
        for layer in range(1, n["L"]):
            read = LSTM.layer(own.under(f"lstm[{layer}]"), below, LSTM.zero(n["H"]))
            h = [state[0] for state in read]
            add = residual and layer > 1
            below = [a + b for a, b in zip(h, below, strict=True)] if add else h
        own = p.under("gnmt_decoder")
        memory = rows(below, n["H"])
        states, context = [LSTM.zero(n["H"])] * n["L"], np.zeros(n["H"])
        found = list[Floats]()
        for word in fed:
            under = word
            for layer in range(n["L"]):
                seen = np.concatenate([under, context])
                states[layer] = LSTM.step(own.under(f"lstm[{layer}]"), seen, states[layer])
                hidden = states[layer][0]
                if layer == 0:
                    context = weighted(additive(own, hidden, memory), memory)
                under = hidden + under if residual and layer > 1 else hidden
            found.append(p["W_y"] @ under)
        return {"logits": rows(found, n["V"])}

    return oracle


# ---- a phrase in one vector (section 21) ------------------------------------------------------


def summary(p: Arrays, x: Arrays, n: Sizes) -> Floats:
    e = np.zeros(n["H"])
    for word in x.ints("source").tolist():
        e = cells.gru_reset_before(p.under("encoder"), p["E_s"][word], e)
    return np.tanh(p["V_c"] @ e)


def summary_step(p: Arrays, word: int, h: Floats, c: Floats) -> tuple[Floats, Floats]:
    """The new state and the logits behind one more word."""
    x, own = p["E_t"][word], p.under("decoder")
    r, z = (
        sigmoid(own[f"W_{gate}"] @ x + own[f"U_{gate}"] @ h + own[f"C_{gate}"] @ c) for gate in "rz"
    )
    h = z * h + (1 - z) * np.tanh(own["W"] @ x + r * (own["U"] @ h + own["C_h"] @ c))
    linear = p["readout.W"] @ np.concatenate([h, x, c])
    maxout = np.maximum(linear[0::2], linear[1::2])
    return h, p["W_y"] @ maxout


def rnn_encoder_decoder(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
    c = summary(p, x, n)
    h, word, found = np.tanh(p["V_h"] @ c), int(x.ints("bos")), []
    for target in x.ints("target").tolist():
        h, logits = summary_step(p, word, h, c)
        found.append(logits)
        word = target
    return {"logits": rows(found, n["V"])}


def rnn_encoder_decoder_greedy(bos: int, eos: int) -> Oracle:
    def oracle(p: Arrays, x: Arrays, n: Sizes) -> Outputs:
        c = summary(p, x, n)
        h, word, said = np.tanh(p["V_h"] @ c), bos, list[int]()
        for _ in range(n["T"]):
            h, logits = summary_step(p, word, h, c)
            word = eos if eos in said else int(np.argmax(logits))
            said.append(word)
        return {"word": np.array(said, np.int64)}

    return oracle
