"""Parse tree -> syntax tree: one method a grammar rule."""

from __future__ import annotations

from lark import Token, Tree

from rnnc.diagnostics import Source, Span
from rnnc.frontend import ast

Node = Tree[Token] | Token


class AstBuilder:
    def __init__(self, source: Source) -> None:
        self.source = source

    # ---- places
    def token_span(self, token: Token) -> Span:
        return Span(self.source, token.line or 1, token.column or 1, token.end_line or 1, token.end_column or 1)

    def span(self, *nodes) -> Span:
        found = [self.span_of(n) for n in nodes if n is not None]
        first, last = found[0], found[-1]
        return Span(self.source, first.line, first.column, last.end_line, last.end_column)

    def span_of(self, node) -> Span:
        if isinstance(node, Span):
            return node
        if isinstance(node, Token):
            return self.token_span(node)
        if isinstance(node, Tree):
            m = node.meta
            return Span(self.source, m.line, m.column, m.end_line, m.end_column)
        return node.span

    def module(self, tree) -> ast.Module:
        doc, imports, defs = None, [], []
        for c in tree.children:
            if not isinstance(c, Tree):
                continue
            if c.data == "docstring": doc = self.doc(c)
            elif c.data == "import":
                path = c.children[0]
                names = tuple(ast.Name(str(t), self.token_span(t)) for t in c.children[1:] if isinstance(t, Token) and t.type == "NAME")
                imports.append(ast.Import(".".join(path.children), names, self.span_of(c)))
            elif c.data == "model": defs.append(self.model(c))
            else: defs.append(self.cell(c))
        return ast.Module(self.source, doc, tuple(imports), tuple(defs))

    def doc(self, tree):
        t = str(tree.children[0])
        return t[3:-3] if t.startswith('"""') else t[1:-1]

    def statics(self, tree):
        if tree is None: return ()
        return tuple(ast.Static(str(s.children[0]), None if s.children[1] is None else self.expr(s.children[1]), self.span_of(s)) for s in tree.children)

    def decls(self, tree):
        if tree is None: return ()
        rows, kind, default = [], None, None
        for d in reversed([c for c in tree.children if isinstance(c, Tree)]):
            name, indices, own, initial = d.children
            if own is not None or initial is not None:
                kind = None if own is None else self.type(own)
                default = None if initial is None else self.expr(initial)
            idx = None if indices is None else tuple(self.expr(i) for i in indices.children)
            rows.append(ast.Declaration(str(name), idx, kind, default, self.token_span(name), self.span_of(d)))
        return tuple(rows[::-1])

    def cell(self, tree):
        name = tree.children[0]
        st = self.statics(tree.children[1])
        if tree.data == "function":
            args = self.decls(tree.children[2]); e = self.expr(tree.children[3])
            sp = e.span
            body = (ast.Equation((ast.Target("", None, None, sp, sp),), (ast.Case(e, None, sp),), False, sp),)
            res = (ast.Declaration("", None, None, None, sp, sp),)
            return ast.Cell(str(name), st, args, res, None, body, True, self.token_span(name), self.span_of(tree))
        args = self.decls(tree.children[2]); res = self.decls(tree.children[3])
        doc, body = self.body(tree.children[4:])
        return ast.Cell(str(name), st, args, res, doc, body, False, self.token_span(name), self.span_of(tree))

    def model(self, tree):
        name = tree.children[0]
        doc, body = self.body(tree.children[2:])
        return ast.Model(str(name), self.statics(tree.children[1]), doc, body, self.token_span(name), self.span_of(tree))

    def body(self, children):
        doc, out = None, []
        for c in children:
            if not isinstance(c, Tree): continue
            if c.data == "docstring": doc = self.doc(c)
            elif c.data == "dim": out.append(ast.Dims(tuple(self.expr(p) for p in c.children if isinstance(p, Tree)), self.span_of(c)))
            elif c.data == "param": out.append(ast.Params(self.decls(c.children[0]), self.span_of(c)))
            elif c.data == "input": out.append(ast.Inputs(self.decls(c.children[0]), self.span_of(c)))
            elif c.data == "output": out.append(self.equation(c.children[0], True, c))
            else: out.append(self.equation(c, False, c))
        return doc, tuple(out)

    def equation(self, tree, is_output, outer):
        targets = tuple(self.target(t) for t in tree.children[0].children)
        if tree.data == "equation":
            e = self.expr(tree.children[1]); cases = (ast.Case(e, None, e.span),)
        else:
            cs = []
            for c in tree.children[1:]:
                if not isinstance(c, Tree): continue
                v = self.expr(c.children[0])
                cond = self.expr(c.children[1]) if c.data == "case" else None
                cs.append(ast.Case(v, cond, self.span(v, cond if cond is not None else v)))
            cases = tuple(cs)
        return ast.Equation(targets, cases, is_output, self.span(targets[0], cases[-1]))

    def target(self, t):
        name, idx, ty = t.children
        ind = None if idx is None else tuple(self.expr(i) for i in idx.children)
        return ast.Target(str(name), ind, None if ty is None else self.type(ty), self.token_span(name), self.span_of(t))

    def type(self, t):
        sp = self.span_of(t)
        if t.data == "tensor":
            dtype, shape, rng = None, None, None
            for c in t.children:
                if c is None: continue
                if c.data == "dtype": dtype = str(c.children[0])
                elif c.data == "shape": shape = tuple(self.expr(e) for e in c.children if e is not None)
                elif c.data == "range": rng = self.expr(c)
            return ast.TensorType(dtype, shape, rng, sp)
        if t.data == "instance":
            n = t.children[0]
            args = self.args(t.children[1]) if len(t.children) > 1 else ()
            return ast.CellType(ast.Name(str(n), self.token_span(n)), args, sp)
        n = t.children[1]
        return ast.StateType(ast.Name(str(n), self.token_span(n)), sp)

    def args(self, tree):
        if tree is None: return ()
        out = []
        for a in tree.children:
            if not isinstance(a, Tree): continue
            sp = self.span_of(a)
            if a.data == "named": out.append(ast.Argument(self.expr(a.children[1]), str(a.children[0]), False, sp))
            elif a.data == "splat": out.append(ast.Argument(self.expr(a.children[0]), None, True, sp))
            else: out.append(ast.Argument(self.expr(a), None, False, sp))
        return tuple(out)

    BIN = {"add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "matmul": "@", "pow": "^", "and": "and", "or": "or"}

    def expr(self, t):
        sp = self.span_of(t)
        k = t.children
        d = t.data
        if d == "name": return ast.Name(str(k[0]), sp)
        if d == "number":
            s = str(k[0])
            v = complex(s) if s.endswith("j") else int(s) if s.isdigit() else float(s)
            return ast.Number(v, s, sp)
        if d in ("true", "false"): return ast.Boolean(d == "true", sp)
        if d == "list": return ast.ListLiteral(tuple(self.expr(e) for e in k if e is not None), sp)
        if d in self.BIN: return ast.Binary(self.BIN[d], self.expr(k[0]), self.expr(k[1]), sp)
        if d == "negate": return ast.Unary("-", self.expr(k[0]), sp)
        if d == "not": return ast.Unary("not", self.expr(k[0]), sp)
        if d == "comparison": return ast.Comparison(tuple(self.expr(e) for e in k[::2]), tuple(str(e) for e in k[1::2]), sp)
        if d == "member": return ast.Membership(self.expr(k[0]), self.expr(k[1]), sp)
        if d == "range": return ast.Range(None if k[0] is None else self.expr(k[0]), None if k[1] is None else self.expr(k[1]), sp)
        if d == "choose": return ast.Conditional(self.expr(k[0]), self.expr(k[1]), self.expr(k[2]), sp)
        if d == "at": return ast.Indexed(self.expr(k[0]), tuple(self.expr(e) for e in k[1].children), sp)
        if d == "with_statics": return ast.WithStatics(self.expr(k[0]), self.args(k[1]), sp)
        if d == "call": return ast.Call(self.expr(k[0]), self.args(k[1]), sp)
        if d == "over": 
            pats = tuple(a.value for a in self.args(k[1]))
            return ast.Reduction(self.expr(k[0]), pats, self.expr(k[2]), sp)
        if d == "field": return ast.Field(self.expr(k[0]), str(k[1]), sp)
        raise NotImplementedError(d)
