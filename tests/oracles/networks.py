"""Networks over time, grids and trees of the standard library, with their oracles."""

from __future__ import annotations

from tests.oracles import grids, layers, trees
from tests.oracles.case import case
from tests.oracles.layers import GRU, LSTM
from tests.oracles.mathematics import relu, sigmoid

ELMAN = "elman", "elman_network"
JORDAN = "jordan", "jordan"
STACKED = "stacked", "stacked"
BIDIRECTIONAL = "bidirectional", "bidirectional"
DILATED = "dilated", "dilated"
CLOCKWORK = "clockwork", "clockwork"

NETWORKS = (
    # ---- one layer ----
    case(*ELMAN, layers.elman_network(), "X=3 H=5 Y=2 T=7", "x: T B X, h0: B H", "y: T B Y"),
    case(
        *ELMAN,
        layers.elman_network(relu),
        "X=3 H=5 Y=2 T=7",
        "x: T B X, h0: B H",
        "y: T B Y",
        variant="relu",
        act="relu",
    ),
    case(*JORDAN, layers.jordan(), "X=3 H=5 Y=2 T=7", "x: T B X, y0: B Y", "y: T B Y"),
    case(
        *JORDAN,
        layers.jordan(relu, sigmoid),
        "X=3 H=5 Y=2 T=7",
        "x: T B X, y0: B Y",
        "y: T B Y",
        variant="sigmoid",
        act="relu",
        out="sigmoid",
    ),
    case(
        "jordan",
        "jordan_teacher_forced",
        layers.jordan_teacher_forced,
        "X=3 H=5 Y=2 T=7",
        "x: T B X, target: T B Y, y0: B Y",
        "y: T B Y",
    ),
    case(
        "irnn",
        "norm_stabilizer",
        layers.norm_stabilizer(0.5),
        "H=5 T=7",
        "h: T B H",
        "cost: B",
        least=1,  # the mean over no steps is no number
        beta=0.5,
    ),
    case("patterns", "many_to_one", layers.many_to_one, "X=3 H=5 Y=2 T=7", "x: T B X", "y: B Y"),
    case("patterns", "one_to_many", layers.one_to_many, "X=3 H=5 T=7", "x: B X", "y: T B X"),
    case(
        "patterns", "many_to_many", layers.many_to_many, "X=3 H=5 Y=2 T=7", "x: T B X", "y: T B Y"
    ),
    case("patterns", "ar_fixed", layers.ar_fixed, "X=3 H=5 K=4 T=7", "x: T B X", "o: T B H"),
    # ---- stacks, directions, time scales ----
    case(
        "stacked",
        "stacked_lstm",
        layers.stacked_lstm,
        "X=3 H=5 L=4 T=7",
        "x: T B X, h0: L B H, c0: L B H",
        "y: T B H, h_n: L B H, c_n: L B H",
    ),
    case(
        *STACKED,
        layers.stacked(LSTM, ("s0.h", "s0.c")),
        "X=3 H=5 L=2 T=7",
        "x: T B X, s0.h: L B H, s0.c: L B H",
        "y: T B H",
    ),
    case(
        *STACKED,
        layers.stacked(GRU, ("s0",)),
        "X=3 H=5 L=2 T=7",
        "x: T B X, s0: L B H",
        "y: T B H",
        variant="gru",
        unit="gru",
    ),
    case(
        "stacked",
        "residual_stacked",
        layers.residual_stacked(LSTM),
        "H=5 L=3 T=7",
        "x: T B H",
        "y: T B H",
    ),
    case(
        *BIDIRECTIONAL,
        layers.bidirectional(LSTM),
        "X=3 H=5 T=7",
        "x: T B X",
        "y: T B 2*H, last: B 2*H",
    ),
    case(
        *BIDIRECTIONAL,
        layers.bidirectional(GRU),
        "X=3 H=5 T=7",
        "x: T B X",
        "y: T B 2*H, last: B 2*H",
        variant="gru",
        unit="gru",
    ),
    case(
        "bidirectional",
        "deep_bidirectional",
        layers.deep_bidirectional(LSTM),
        "X=3 H=5 L=3 T=7",
        "x: T B X",
        "y: T B 2*H",
    ),
    case("gnmt", "gnmt_encoder", layers.gnmt_encoder, "X=3 H=5 L=5 T=7", "x: T B X", "y: T B H"),
    # The last layer looks further back than T.
    case(*DILATED, layers.dilated(LSTM, 2), "X=3 H=5 L=4 T=7", "x: T B X", "y: T B H"),
    case(
        *DILATED,
        layers.dilated(GRU, 3),
        "X=3 H=5 L=2 base=3 T=7",
        "x: T B X",
        "y: T B H",
        variant="gru",
        unit="gru",
    ),
    case(*CLOCKWORK, layers.clockwork((1, 2, 4, 8)), "X=3 H=5 G=4 T=11", "x: T B X", "y: T B G*H"),
    case(
        *CLOCKWORK,
        layers.clockwork((2, 3)),
        "X=3 H=5 G=2 T=7",
        "x: T B X",
        "y: T B G*H",
        variant="uneven",
        period=(2, 3),
    ),
    case("gfrnn", "gfrnn", layers.gfrnn, "X=4 H=5 L=3 T=7", "x: T B X", "y: T B L*H"),
    case("gfrnn", "gflstm", layers.gflstm, "X=3 H=5 L=2 T=7", "x: T B X", "y: T B H"),
    # ---- more than one dimension ----
    case(
        "md_rnn",
        "mdlstm_2d",
        grids.mdlstm_2d("mdlstm"),
        "X=3 H=5 R=4 C=6",
        "x: R C B X",
        "y: R C B H",
        extents="R C",
    ),
    case(
        "md_rnn",
        "mdlstm_3d",
        grids.mdlstm_3d,
        "X=3 H=5 R=2 C=3 D=4",
        "x: R C D B X",
        "y: R C D B H",
        extents="R C D",
    ),
    case(
        "md_rnn",
        "mdlstm_4way",
        grids.mdlstm_4way,
        "X=3 H=5 R=3 C=4",
        "x: R C B X",
        "y: R C B 4*H",
        extents="R C",
    ),
    case(
        "grid_lstm",
        "grid_lstm_blocks",
        grids.grid_lstm_blocks,
        "X=3 H=5 L=3 T=7",
        "x: T B X",
        "y: T B H",
    ),
    case(
        "grid_lstm", "grid_lstm_2d", grids.grid_lstm_2d, "X=3 H=5 L=3 T=7", "x: T B X", "y: T B H"
    ),
    case(
        "grid_lstm",
        "grid_lstm_2d_priority",
        grids.grid_lstm_2d_priority,
        "X=3 H=5 L=3 T=7",
        "x: T B X",
        "y: T B H",
    ),
    case(
        "grid_lstm",
        "grid_lstm_3d",
        grids.grid_lstm_3d,
        "X=3 H=5 L=2 S=4 T=3",
        "source: S B X, target: T B X",
        "y: T B H",
        extents="S T",
    ),
    case(
        "hmlstm",
        "hmlstm_network",
        grids.hmlstm_network,
        "X=3 H=5 L=3 T=9",
        "x: T B X, slope: B = fractions",
        "y: T B H",
        scale=1.5,
    ),
    case(
        "pixel_rnn",
        "row_lstm",
        grids.row_lstm,
        "X=3 H=5 R=4 C=6",
        "x: R C B X",
        "y: R C B H",
        extents="R C",
    ),
    case(
        "pixel_rnn",
        "diagonal_bilstm",
        grids.diagonal_bilstm,
        "X=3 H=5 R=4 C=6",
        "x: R C B X",
        "y: R C B H",
        extents="R C",
    ),
    # ---- trees ----
    case(
        "tree",
        "recursive_nn",
        trees.recursive_nn,
        "X=3 H=5 N=9",
        "x: N B X, left: N B = children, right: N B = children",
        "root: B H",
        extents="N",
    ),
    case(
        "tree",
        "treelstm_nary",
        trees.treelstm_nary,
        "X=3 H=5 N=9",
        "x: N B X, left: N B = children, right: N B = children",
        "root: B H",
        extents="N",
    ),
    case(
        "tree",
        "treelstm_childsum",
        trees.treelstm_childsum,
        "X=3 H=5 N=7 K=3",
        "x: N B X, child: N K B = children",
        "root: B H",
        extents="N K",
    ),
)
