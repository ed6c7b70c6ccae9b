"""What to say where the parser cannot go on: what was expected, what was found, what to write."""

from __future__ import annotations

from lark import Token

from rnnc.diagnostics import Diagnostic, Note, Source, Span
from rnnc.frontend.lexer import CLOSERS, OPENERS, Chunk
from rnnc.frontend.lexical_errors import unclosed

_LAYOUT = ("_NL", "_INDENT", "_DEDENT", "$END")
_DEFINITIONS = ("CELL", "MODEL", "FROM")
_STATEMENTS = ("PARAM", "DIM", "INPUT", "OUTPUT")
_TYPES = ("REAL", "COMPLEX", "INT", "BOOL")
_CONNECTIVES = ("IF", "ELSE", "OTHERWISE", "AND", "OR", "NOT", "IN")
_WORDS = {*_DEFINITIONS, *_STATEMENTS, *_TYPES, *_CONNECTIVES, "IMPORT", "TRUE", "FALSE"}

_BRACKETS = {"LPAR", "LSQB", "LBRACE"}
_ATOMS = {"NAME", "NUMBER", "TRUE", "FALSE", "COMPLEX"}
_STARTS = {*_ATOMS, "LPAR", "LSQB", "MINUS", "NOT", "STAR", "TO"}
_SIGNS_BETWEEN = {"PLUS", "MINUS", "STAR", "SLASH", "FLOOR_DIVIDE", "PERCENT", "AT", "CIRCUMFLEX"}
_OPERATORS = {*_SIGNS_BETWEEN, *_BRACKETS, "COMPARE", "IN", "AND", "OR", "IF", "TO", "DOT"}
_SIGNS = {
    "COLON": "':'",
    "COMMA": "','",
    "EQUAL": "'='",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "ARROW": "'->'",
    "TO": "'..'",
    "DOT": "'.'",
    "MINUS": "'-'",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a string",
    "_NL": "the end of the line",
}

# Habits from other languages, by the first word of a line.
_HABITS = {
    "return": "equations define the results of a cell:  h' = ...",
    "for": "there are no loops: an equation holds at every grid point,  h[t] = ...",
    "while": "there are no loops: an equation holds at every grid point,  h[t] = ...",
    "if": "cases are lines below '=':  value  if condition",
    "let": "an equation needs no word before it:  h = ...",
    "var": "an equation needs no word before it:  h = ...",
    "def": "a definition starts with 'cell' or 'model'",
    "fn": "a definition starts with 'cell' or 'model'",
    "class": "a definition starts with 'cell' or 'model'",
    "import": "an import names what it takes:  from lstm import lstm",
}


class Unexpected(Exception):
    """Token number `position` of a chunk fits nothing; types in `accepts` would have."""

    def __init__(self, position: int, accepts: frozenset[str]) -> None:
        self.position = position
        self.accepts = accepts
        super().__init__(f"token {position}: expected {sorted(accepts)}")


def explain(error: Unexpected, chunk: Chunk, source: Source) -> Diagnostic:
    """The diagnostic of a chunk's syntax error."""
    return _Explanation(error, chunk, source).diagnostic()


class _Explanation:
    def __init__(self, error: Unexpected, chunk: Chunk, source: Source) -> None:
        self.chunk = chunk
        self.source = source
        self.accepts = error.accepts
        self.tokens = chunk.tokens
        self.position = error.position
        last = self.tokens[-1]
        end = Token.new_borrow_pos("$END", "", last)
        end.line, end.column = last.end_line, last.end_column
        self.found = self.tokens[error.position] if error.position < len(self.tokens) else end
        self.before = self.tokens[: error.position]
        self.previous = self.before[-1] if self.before else None

    def diagnostic(self) -> Diagnostic:
        if self.found.type == "ERROR" and self.chunk.problem is not None:
            return self.chunk.problem
        return (
            self._unclosed()
            or self._block()
            or self._in_cell()
            or self._header()
            or self._reserved()
            or self._general()
        )

    # ---- situations, the most telling first

    def _unclosed(self) -> Diagnostic | None:
        """Inside a bracket that is never closed, all that follows is read as its content."""
        inside = [opener for opener in self.chunk.unclosed if opener in self.before]
        if not inside or inside[-1].line == self.found.line:
            return None
        problem = unclosed(self._span(inside[-1]))
        note = Note("this line is read as a part of it", self._span(self.found))
        return Diagnostic(problem.code, problem.message, problem.span, notes=(note,))

    def _block(self) -> Diagnostic | None:
        """A block is missing, or is there and nothing opens it."""
        if self.found.type == "_INDENT":
            span = Span(self.source, self.found.line or 1, 1, self.found.line or 1, self._column)
            message = "this line is indented more than the one above, which opens no block"
            hint = "put what is long into brackets: inside them, line breaks do not count"
            return Diagnostic("RNN102", message, span, hints=(hint,))
        if "_INDENT" not in self.accepts:
            return None
        end = self.before[-1]
        if self.before[-2].type == "EQUAL":
            message = "expected an expression after '=', found the end of the line"
            hint = "cases stand in the lines below, indented:  value  if condition"
            return Diagnostic("RNN101", message, self._span(end), hints=(hint,))
        message = f"expected the body of {self._definition()}, indented, found {self._found()}"
        hint = "indent the lines of the body by four spaces"
        span = self._span(end if self.found.type == "$END" else self.found)
        return Diagnostic("RNN102", message, span, hints=(hint,))

    def _in_cell(self) -> Diagnostic | None:
        """A model's lines in a cell."""
        if "PARAM" not in self.accepts or self.found.type in self.accepts:
            return None
        hints = {
            "DIM": "a model calls the cell at every point of its grid",
            "INPUT": "what a cell is given are its arguments:  cell name(x: [X], ...)",
            "OUTPUT": "what a cell gives are its results:  -> (h')",
        }
        if self.found.type in hints:
            message = f"a cell has no '{self.found}' line: only a model owns a grid"
            return self._error("RNN101", message, hints[self.found.type])
        if self.found.type in _DEFINITIONS:
            hint = "definitions and imports start in the first column"
            return self._error("RNN101", self._message(), hint)
        return None

    def _header(self) -> Diagnostic | None:
        """The first line of a definition."""
        if self.tokens[0].type not in ("CELL", "MODEL") or len(self.before) < 2:
            return None
        if self._open() is not None or any(t.type in ("_NL", "EQUAL") for t in self.before):
            return None
        previous = self.before[-1].type
        hints: tuple[str, ...] = ()
        arrow = next((i for i, token in enumerate(self.before) if token.type == "ARROW"), None)
        if "EQUAL" in self.accepts and previous == "RPAR":
            hints = ("a cell names its results:  -> (h'):",)
        elif self.accepts == {"COLON"} and arrow is not None:
            text = self._text(self.before[arrow], self.before[-1])
            hints = (f"a definition's first line ends with a colon:  {text}:",)
        elif "COLON" in self.accepts:
            text = self._text(self.before[0], self.before[-1])
            hints = (f"a definition's first line ends with a colon:  {text}:",)
        elif previous == "ARROW":
            hints = ("results stand in parentheses:  -> (h'):",)
        elif self.found.type == "COLON" and previous == "NAME":
            hints = ("a cell has arguments and results:  cell name(x: [X]) -> (y: [X]):",)
        place = {"NAME": "name", "RBRACE": "statics", "RPAR": "results" if arrow else "arguments"}
        if previous in place:
            after = f"the {place[previous]} of {self._definition()}"
            return self._error("RNN101", self._message(after), *hints)
        return self._error("RNN101", self._message(), *hints)

    def _reserved(self) -> Diagnostic | None:
        """A reserved word where a name is wanted."""
        kind = self.found.type
        if kind not in _WORDS or "NAME" not in self.accepts:
            return None
        # In place of an expression, `if` is no name that went wrong; `param` is.
        if "NUMBER" in self.accepts and kind in _CONNECTIVES:
            return None
        hints = (self._habit() or f"choose another name, for example  {self.found}_0",)
        return self._error("RNN104", f"{self._message()}, a reserved word", *hints)

    def _general(self) -> Diagnostic:
        notes: tuple[Note, ...] = ()
        opener = self._open()
        if opener is not None and opener.line != self.found.line:
            notes = (Note(f"'{opener}' is opened here", self._span(opener)),)
        hint = self._habit() or self._hint()
        hints = (hint,) if hint else ()
        span = self._span(self.found)
        return Diagnostic("RNN101", self._message(), span, notes=notes, hints=hints)

    def _hint(self) -> str | None:
        previous = self.previous.type if self.previous else ""
        kind = self.found.type
        if kind == "COMPARE" and self.found == "==" and "EQUAL" in self.accepts:
            return "an equation is written with one '='"
        if previous == kind == "STAR":
            return "a power is written  x ^ 2"
        following = self.tokens[self.position + 1 : self.position + 2]
        if kind in _SIGNS_BETWEEN and [token.type for token in following] == ["EQUAL"]:
            return "a variable has one value at a point: there is no assignment"
        if self.accepts == {"ELSE"} or ("ELSE" in self.accepts and kind == "_NL"):
            return "write  a if p else b,  or cases in lines of their own below '='"
        if "OTHERWISE" in self.accepts and kind == "_NL":
            return "a case says when it holds:  value  if condition,  the last:  value  otherwise"
        if self.accepts == {"IN"}:
            return "a dim has a range:  dim t in 0..T"
        if previous == "LBRACE" and kind == "RBRACE":
            return "without statics, leave the braces out"
        if previous == "IMPORT" and kind == "STAR":
            return "an import names what it takes:  from lstm import lstm, projected_lstm"
        if "CELL" in self.accepts:
            if not self.before and (kind in _STATEMENTS or kind == "NAME"):
                return "the lines of a definition are indented by four spaces"
            return None
        if kind == "_NL" and self._wants_expression():
            return "put what is long into brackets: inside them, line breaks do not count"
        return None

    def _habit(self) -> str | None:
        """What the first word of the line is mistaken for."""
        start = max((i + 1 for i, t in enumerate(self.before) if t.type in _LAYOUT), default=0)
        if self.position - start > 1:
            return None
        word = str((self.before[start:] or [self.found])[0])
        keyword = word.lower().removesuffix("s")
        known = (*_STATEMENTS, *_DEFINITIONS)
        if keyword != word and keyword.upper() in known and self.position > start:
            return f"did you mean '{keyword}'?"
        return _HABITS.get(word)

    # ---- words

    def _message(self, after: str | None = None) -> str:
        previous = self.previous
        if after is None and previous and previous.type not in _LAYOUT and self._wants_start():
            after = f"'{previous}'"
        place = f" after {after}" if after else ""
        return f"expected {_either(self._wanted())}{place}, found {self._found()}"

    def _wants_expression(self) -> bool:
        return {"NAME", "NUMBER"} <= self.accepts

    def _wants_start(self) -> bool:
        """Whether something starts here: what stands before tells what."""
        starts_line = self.accepts & {"PARAM", "CELL"}
        return self.accepts == {"LPAR"} or ("NAME" in self.accepts and not starts_line)

    def _wanted(self) -> list[str]:
        accepts = set(self.accepts)
        if "PARAM" in accepts:
            words = [word for word in _STATEMENTS if word in accepts]
            return ["an equation", *(f"'{word.lower()}'" for word in words)]
        if "CELL" in accepts:
            return ["'cell'", "'model'", "'from'"]
        if "OTHERWISE" in accepts:
            return ["'if'", "'otherwise'"]
        if "ELSE" in accepts:
            return ["'else'"]
        words = []
        if self._wants_expression():
            words.append("an expression")
            accepts -= _STARTS
        elif {"REAL", "LSQB"} <= accepts:
            words.append("a type")
            accepts -= {*_TYPES, "LSQB", "NAME"}
        elif {"PLUS", "STAR"} <= accepts:
            words.append("an operator")
            accepts -= _OPERATORS
            if accepts & {"RPAR", "RBRACE"}:
                accepts -= {"COLON", "EQUAL"}
        if "RPAR" in accepts and self.previous is not None and self.previous.type == "COMMA":
            accepts.discard("RPAR")
        if "EQUAL" in accepts and not accepts & {"_NL", "ARROW", "RPAR", "RBRACE"}:
            return ["'='"]
        if accepts & {"EQUAL", "_NL"} and "ARROW" not in accepts:
            accepts -= _BRACKETS
        signs = [sign for kind, sign in _SIGNS.items() if kind in accepts]
        reserved = sorted(f"'{kind.lower()}'" for kind in accepts if kind in _WORDS)
        return words + signs + reserved

    def _found(self) -> str:
        match self.found.type:
            case "_NL":
                return "the end of the line"
            case "_DEDENT":
                return "the end of the block"
            case "$END":
                return "the end of the definition" if self.before else "the end of the file"
            case "STRING":
                return "a string"
            case _:
                return f"'{self.found}'"

    def _definition(self) -> str:
        return f"{self.tokens[0]} '{self.tokens[1]}'"

    # ---- places

    @property
    def _column(self) -> int:
        return self.found.column or 1

    def _open(self) -> Token | None:
        """The innermost bracket that is open here."""
        opened: list[Token] = []
        for token in self.before:
            if token.type in OPENERS:
                opened.append(token)
            elif token.type in CLOSERS:
                opened.pop()
        return opened[-1] if opened else None

    def _text(self, first: Token, last: Token) -> str:
        """The source from one token to another of the same line; else nothing but an ellipsis."""
        if first.line != last.line:
            return "..."
        line, start, end = first.line or 1, first.column or 1, last.end_column or 1
        return self.source.line(line)[start - 1 : end - 1]

    def _span(self, token: Token) -> Span:
        line, column = token.line or 1, token.column or 1
        return Span(self.source, line, column, token.end_line or line, token.end_column or column)

    def _error(self, code: str, message: str, *hints: str) -> Diagnostic:
        return Diagnostic(code, message, self._span(self.found), hints=hints)


def _either(words: list[str]) -> str:
    if len(words) < 2:
        return "".join(words) or "nothing more"
    return f"{', '.join(words[:-1])} or {words[-1]}"
