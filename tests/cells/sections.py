"""The catalogue's sections, and the tests that earn each its mark: cases of `test_equations`.

Such a case compares the compiled model with an oracle in plain NumPy, row by row, for several
lengths and numbers of threads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Section:
    """`cases` are names of `tests.oracles.cases.CASES`."""

    number: int
    title: str
    cases: tuple[str, ...]


def _section(number: int, title: str, cases: str) -> Section:
    return Section(number, title, tuple(cases.split()))


_STACK = "neural_stack neural_queue neural_stack_rnn neural_queue_rnn neural_deque neural_deque_rnn"
_GRID = """
grid_lstm_blocks grid_lstm_blocks-paper grid_lstm_2d grid_lstm_2d-paper grid_lstm_2d_priority
grid_lstm_2d_priority-paper grid_lstm_3d_tied grid_lstm_4d grid_lstm_3d
"""
_GNMT = """
residual_stacked gnmt_encoder gnmt_decoder gnmt_v1 gnmt_v2 gnmt_v3 gnmt_v4 gnmt gnmt-plain
"""

SECTIONS = (
    _section(1, "Elman RNN", "elman_network elman_network-relu"),
    _section(2, "Jordan RNN", "jordan jordan-sigmoid jordan_teacher_forced jordan_context"),
    _section(3, "IRNN", "irnn norm_stabilizer"),
    _section(4, "uRNN and orthogonal RNN", "urnn_network orthogonal_rnn"),
    _section(5, "MUT1 to MUT3", "mut1 mut2 mut3"),
    _section(6, "IndRNN", "indrnn indrnn-tanh"),
    _section(7, "LSTM", "stacked_lstm peephole_lstm lstm_1997 projected_lstm"),
    _section(8, "GRU", "gru gru-reset-before"),
    _section(9, "LSTM with layer normalization", "lnlstm"),
    _section(10, "Stacked RNN", "stacked_lstm stacked stacked-gru"),
    _section(
        11,
        "Bidirectional RNN",
        "bidirectional bidirectional-gru deep_bidirectional bidirectional_stacks",
    ),
    _section(
        12,
        "Residual stack, GNMT",
        _GNMT,
    ),
    _section(13, "Dilated RNN", "dilated dilated-gru dilated_fused"),
    _section(14, "Clockwork RNN", "clockwork clockwork-uneven"),
    _section(
        15,
        "MD-RNN, MD-LSTM",
        "mdrnn_2d mdlstm_2d mdlstm_2d-peephole mdlstm_3d mdlstm_4d mdlstm_4way mdlstm_8way",
    ),
    _section(16, "Grid LSTM", _GRID),
    _section(17, "HM-LSTM", "hmlstm_network hmlstm_network-top"),
    _section(18, "ON-LSTM", "onlstm"),
    _section(
        19,
        "Recursive networks, Tree-LSTM",
        "recursive_nn treelstm_nary treelstm_childsum treelstm_kary treelstm_constituency",
    ),
    _section(
        20,
        "Patterns of input and output",
        "many_to_one one_to_many one_to_many-silent many_to_many taught free_running ar_fixed",
    ),
    _section(
        21,
        "Encoder and decoder",
        "seq2seq seq2seq_greedy rnn_encoder_decoder rnn_encoder_decoder_greedy",
    ),
    _section(22, "Bahdanau's attention", "bahdanau_decoder bahdanau_readout attention_translator"),
    _section(
        23,
        "Luong's attention",
        "luong_decoder luong_decoder-dot luong_decoder-concat luong_decoder-unfed simple_attention",
    ),
    _section(
        24,
        "Image captions",
        "caption_rnn caption_rnn-first caption_as_input caption_greedy caption_attention",
    ),
    _section(25, "Adaptive computation time", "act_rnn act_rnn-hasty act_rnn-strict"),
    _section(26, "Neural Turing machine", "ntm_simple ntm_simple-literal ntm"),
    _section(27, "Stack-augmented RNN", "stack_rnn"),
    _section(28, "Neural stack, queue and deque", _STACK),
    _section(
        29,
        "End-to-end memory network",
        "memn2n memn2n_layerwise memn2n_sentences memn2n_sentences-bags",
    ),
    _section(30, "Memory network with hard hops", "memory_network"),
    _section(31, "Row LSTM, Diagonal BiLSTM", "row_lstm diagonal_bilstm"),
    _section(32, "Pruned RNN", "sparse_rnn gradual_pruning"),
    _section(33, "QRNN", "qrnn_f qrnn qrnn_ifo"),
    _section(34, "SRU", "sru sru-tanh sru_v1 sru_projected"),
    _section(
        35,
        "minGRU, minLSTM",
        "mingru mingru-positive mingru_log minlstm minlstm-positive minlstm_log",
    ),
    _section(36, "Linear recurrence", "linear_recurrence"),
    _section(37, "S4D, LRU", "s4d lru"),
    _section(38, "Mamba", "selective_scan selective_scan-exact mamba"),
    _section(39, "sLSTM", "slstm slstm-exponential"),
    _section(40, "Multiplicative RNN", "mrnn"),
    _section(41, "Gated-feedback RNN", "gfrnn gflstm"),
)
