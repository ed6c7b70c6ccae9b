"""Compiled models as modules of PyTorch.

tagger = rnnc.torch.Module("tagger.rnn", sizes={"X": 64, "H": 256})
y = tagger(x)["y"]

lstm = rnnc.torch.LSTM(64, 256)  # in place of torch.nn.LSTM
lstm.load_state_dict(trained.state_dict())
output, (h_n, c_n) = lstm(x)

Importing this module imports torch and the runtime; the compiler is loaded only by what compiles.
"""

from rnnc.torch.module import Module
from rnnc.torch.stacks import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "Module"]
