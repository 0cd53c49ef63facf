"""The house of DESIGN §2, read off the imports without importing anything heavy: no circle, no private name of another
module, no arrow from the engine or the generated data up to the course."""
import ast, subprocess, sys, textwrap, zipfile
from typing import NamedTuple

import pytest

import nbtest, stubs
from nbtest import ROOT

PACKAGE = ROOT/"vidcls"
ROOF = "engine.cli"
MAY_IMPORT_COURSE = {f"engine.{m}" for m in "audit trainer run report look prepare batch pipeline".split()}
OPEN_NAMES = ("__version__",)  # Begin with a line, and are public all the same


# -- the checker ------------------------------------------------------------------------------------------------------

class Import(NamedTuple):
    "One line of one module that imports another one; names are relative to the package, the package itself is ''."
    by: str        # The module that imports
    of: str        # The module that is imported
    names: tuple   # Names that are taken from it; () if the module itself is imported
    line: int      # Where
    where: str     # Path of the file, relative to the package's parent

    @property
    def place(self): return f"{self.where}:{self.line}"


def modules(package):
    "Module name → file, of a package's folder, without what nbdev generates for itself."
    files = {p.relative_to(package).with_suffix("").parts: p for p in sorted(package.rglob("*.py")) if p.name != "_modidx.py"}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): p for parts, p in files.items()}


def imports(package):
    "Every import of one module of the package by another, at the top or inside a function."
    there, out = modules(package), []
    for by, path in there.items():
        folder = [package.name, *filter(None, by.split("."))][:None if path.name == "__init__.py" else -1]
        where = path.relative_to(package.parent).as_posix()
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(n, ast.Import): found = [(a.name, None) for a in n.names]
            elif isinstance(n, ast.ImportFrom):
                base = ".".join([*folder[:len(folder) + 1 - n.level], *filter(None, [n.module])]) if n.level else n.module
                found = [(base, a.name) for a in n.names]
            else: continue
            for base, name in found:
                if base.split(".")[0] != package.name: continue
                of = base[len(package.name) + 1:]
                if name and (sub := ".".join(filter(None, [of, name]))) in there: of, name = sub, None
                out.append(Import(by, of, (name,) if name else (), n.lineno, where))
    return out


def floor(module):
    "The floor of the house that a module is on: engine, synthetic, course, or none for the package's own files."
    first = module.split(".")[0]
    return first if first in ("engine", "synthetic") else "package" if first in ("", "__main__") else "course"


def circles(found):
    "Circles of modules, each once: (a, b, a), from the first in the alphabet."
    arrows, out, done = {}, [], set()
    for i in found: arrows.setdefault(i.by, set()).add(i.of)

    def walk(module, path):
        if module in path: out.append((*path[path.index(module):], module))
        elif module not in done:
            for to in sorted(arrows.get(module, ())): walk(to, (*path, module))
            done.add(module)
    for module in sorted(arrows): walk(module, ())
    return out


def complaints(package):
    "What is against the house, one sentence each, with the file, the line and the way out."
    found = imports(package)
    packages = {m for m, p in modules(package).items() if p.name == "__init__.py"}
    for circle in circles([i for i in found if i.of not in packages]):
        places = [next(i.place for i in found if (i.by, i.of) == pair) for pair in zip(circle, circle[1:])]
        yield f"{places[-1]}: the imports go in a circle, {' → '.join(circle)} ({', '.join(places)}): " \
              "move what both need into a module below them."
    for i in found:
        for name in i.names:
            if name.startswith("_") and name not in OPEN_NAMES:
                yield f"{i.place}: {name} is a private name of {i.of or package.name}: give it a public name there, or write it again here."
            elif not i.of and name not in OPEN_NAMES:
                yield f"{i.place}: {name} is taken from {package.name} itself, which hides where it lives: name the module."
        yield from upward(i)


def upward(i):
    "What is against the order of the floors in one import."
    if i.by in (ROOF, "__main__"): return
    if i.of == ROOF:
        yield f"{i.place}: {i.by} imports the roof, {i.of}: move what it needs into a module of its own."
    elif floor(i.by) == "engine" and floor(i.of) == "course" and i.by not in MAY_IMPORT_COURSE:
        yield f"{i.place}: {i.by} is of the engine and imports {i.of} of the course: hand it over as an argument, or move it into the engine."
    elif floor(i.by) == "synthetic" and floor(i.of) == "course":
        yield f"{i.place}: {i.by} draws data and imports {i.of} of the course: use only modules of the engine and of synthetic there."


def test_the_house_stands(): assert not list(complaints(PACKAGE))


# -- of a small package -----------------------------------------------------------------------------------------------

@pytest.fixture
def house(tmp_path):
    "`house({path: source})` writes a package `box` and returns what is wrong with it."
    def _house(files):
        for name in ("", "engine/", "synthetic/"): files = {f"{name}__init__.py": "", **files}
        for name, source in files.items():
            p = tmp_path/"box"/name
            p.parent.mkdir(parents=True, exist_ok=True)
            p.write_text(textwrap.dedent(source))
        return list(complaints(tmp_path/"box"))
    return _house


def test_a_house_in_order_has_no_complaint(house):
    "The roof, and the modules that put things together, may import the course; a module may import its neighbour."
    assert house({"__main__.py": "from .engine.cli import main", "clips.py": "from .engine.video import probe\nfrom . import __version__\n",
        "engine/video.py": "import os\nfrom . import machine\n", "engine/machine.py": "", "engine/audit.py": "from box.clips import read",
        "engine/cli.py": "def main():\n    from ..clips import read\n", "synthetic/stick.py": "from ..engine.machine import home"}) == []


@pytest.mark.parametrize("back", ["from .a import x", "from box.a import x", "import box.a", "def f():\n    from . import a"])
def test_a_circle_is_found(house, back):
    line = back.count("\n") + 1
    said = house({"a.py": "import os\nfrom .b import y", "b.py": back})
    assert len(said) == 1 and said[0].startswith(f"box/b.py:{line}: the imports go in a circle, a → b → a (box/a.py:2, box/b.py:{line})")
    assert "module below them" in said[0]


def test_a_circle_of_three_is_found_once(house):
    assert [s.split(": ")[1] for s in house({"a.py": "from . import b", "b.py": "from . import c", "c.py": "from . import a"})] == [
        "the imports go in a circle, a → b → c → a (box/a.py:1, box/b.py:1, box/c.py:1)"]


@pytest.mark.parametrize("by, of, said", [
    ("engine/video.py", "from ..clips import read", "engine.video is of the engine and imports clips of the course"),
    ("engine/machine.py", "def f():\n    from box import clips", "engine.machine is of the engine and imports clips of the course"),
    ("synthetic/stick.py", "from box.clips import read", "synthetic.stick draws data and imports clips of the course"),
    ("infer.py", "from .engine.cli import main", "infer imports the roof, engine.cli"),
    ("engine/audit.py", "from . import cli", "engine.audit imports the roof, engine.cli")])
def test_an_arrow_up_is_found(house, by, of, said):
    found = house({"clips.py": "", "engine/cli.py": "", by: of})
    assert len(found) == 1 and found[0].startswith(f"box/{by}:{of.count(chr(10)) + 1}: {said}: ")


def test_a_private_name_is_found(house):
    said = house({"a.py": "_x = 1", "b.py": "import os\n\nfrom .a import _x, y"})
    assert said == ["box/b.py:3: _x is a private name of a: give it a public name there, or write it again here."]


def test_a_flat_name_is_found(house):
    "Else the course could hide behind it."
    said = house({"engine/video.py": "from .. import read, __version__"})
    assert said == ["box/engine/video.py:1: read is taken from box itself, which hides where it lives: name the module."]


# -- what `import vidcls` gives ---------------------------------------------------------------------------------------

def python(code):
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert p.returncode == 0, p.stderr
    return p.stdout.split()


def test_the_package_alone_loads_nothing_heavy_and_tells_its_names():
    "`dir` lists the names, which are loaded when they are asked for."
    heavy = "('torch', 'transformers', 'pandas')"
    out = python(f"import sys, vidcls\nprint(*(m for m in {heavy} if m in sys.modules))\nprint(*sorted(set(vidcls.__all__) - set(dir(vidcls))))")
    assert out == []


def test_every_name_is_there():
    "Each is the one of its module, also after `from vidcls import *`."
    import vidcls
    for name in vidcls.__all__:
        value = getattr(vidcls, name)
        if name in vidcls._HOME: assert value is getattr(sys.modules[vidcls._HOME[name]], name)
    assert len(set(vidcls.__all__)) == len(vidcls.__all__)
    names = {}
    exec("from vidcls import *", names)
    assert set(vidcls.__all__) <= set(names)
    with pytest.raises(AttributeError, match="no attribute 'nobody'"): vidcls.nobody  # noqa: B018


def test_no_lazy_name_is_a_module():
    "Importing the module would put it in the name's place."
    import vidcls
    both = set(vidcls.__all__) & {m.split(".")[0] for m in modules(PACKAGE)}
    assert not both, f"vidcls/{both and min(both)}.py would replace the name: call one of them otherwise"


def test_type_checkers_know_the_lazy_names():
    "The stub of the package is the one that `make export` writes, and names each with its module."
    import vidcls
    stub = (PACKAGE/"__init__.pyi").read_text(encoding="utf-8")
    assert stub == stubs.flat((PACKAGE/"__init__.py").read_text(encoding="utf-8")), "run `make export`"
    for name, home in vidcls._HOME.items():
        assert f"from .{home.removeprefix('vidcls.')} import {name} as {name}\n" in stub


def test_types_are_in_the_wheel(dist):
    names = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    want = {p.as_posix() for p in nbtest.tracked() if p.parts[0] == "vidcls" and p.suffix == ".pyi"}
    assert {"vidcls/py.typed", "vidcls/__init__.pyi"} < {"vidcls/py.typed", *want} <= names
