"""The grammars: `rnn.lark` is the language, `ir.lark` (where present) the text form of the IR."""
