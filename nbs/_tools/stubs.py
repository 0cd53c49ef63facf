"""Write type stubs (`.pyi`) for what type checkers cannot see: methods from fastcore's `@patch`, and lazy names.

`make export` calls this. It only reads the source, so it is fast, and every version of Python gives the same stubs."""
import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]/"vidcls"
KINDS = dict(as_prop="property", cls_method="classmethod", static_method="staticmethod")


def attributes(f):
    "The attributes that a method assigns to `self`, as (name, annotation): the parameter's annotation, or `Any`."
    types = {a.arg: a.annotation for a in f.args.args + f.args.kwonlyargs}
    for n in (n for n in ast.walk(f) if isinstance(n, ast.Assign)):
        both = isinstance(n.targets[0], ast.Tuple) and isinstance(n.value, ast.Tuple)
        for to, value in zip(n.targets[0].elts, n.value.elts) if both else [(n.targets[0], n.value)]:
            if not isinstance(to, ast.Attribute) or ast.unparse(to.value) != "self": continue
            yield to.attr, types.get(ast.unparse(value)) or ast.Name("_Any")


def stub(source):
    "The stub of a module; None if it does not patch any class. A class must be in the module that patches it."
    tree = ast.parse(source)
    classes = {c.name: c for c in tree.body if isinstance(c, ast.ClassDef)}
    calls = {f: d for f in tree.body for d in getattr(f, "decorator_list", [])
             if ast.unparse(d).split("(")[0] == "patch"}
    for f, call in calls.items():
        first = f.args.args[0]
        c, first.annotation = classes[ast.unparse(first.annotation)], None
        f.decorator_list = [ast.Name(KINDS[k.arg]) for k in getattr(call, "keywords", [])]
        c.body = [n for n in c.body if getattr(n, "name", "") != f.name] + [f]
    for c in classes.values():
        names = {getattr(n, "name", "") or ast.unparse(getattr(n, "target", n)) for n in c.body}
        found = [a for f in c.body if isinstance(f, ast.FunctionDef) for a in attributes(f)]
        found = {k: t for k, t in found[::-1] if k not in names}
        c.body[1:1] = [ast.AnnAssign(ast.Name(k), found[k], None, 1) for k in sorted(found)]
    for f in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        f.body = f.body[:bool(ast.get_docstring(f))] + [ast.Expr(ast.Constant(...))]
    tree.body[1:] = ast.parse("from typing import Any as _Any").body + [n for n in tree.body[1:] if n not in calls]
    return ast.unparse(tree) + "\n" if calls else None


def flat(source):
    "The stub of the package's `__init__`, which imports each lazy name in `_EXPORTS` from its module."
    assigned = {ast.unparse(n.targets[0]): n.value for n in ast.parse(source).body if isinstance(n, ast.Assign)}
    homes = [(m, n) for m, names in ast.literal_eval(assigned["_EXPORTS"]).items() for n in names.split()]
    lines = [f"from .{module} import {name} as {name}" for module, name in homes]
    listed = "\n".join(f'    "{n}",' for n in ["__version__", *(n for _, n in homes)])
    doc = f'"""{ast.get_docstring(ast.parse(source))}\n"""'
    return "\n".join([doc, *lines, "", "__version__: str", f"__all__ = [\n{listed}\n]", ""])


if __name__ == "__main__":
    for p in sorted(PACKAGE.rglob("*.py")):
        make = flat if p == PACKAGE/"__init__.py" else stub
        text, to = make(p.read_text(encoding="utf-8")), p.with_suffix(".pyi")
        if text: to.write_text(text, encoding="utf-8")
        else: to.unlink(missing_ok=True)
