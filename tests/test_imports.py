"""Who imports whom in the package: no circles, no arrow upwards, no private name of another module.

Three floors: `vidcls/*.py` is the course, `vidcls/engine/*.py` the machinery below it, `vidcls/synthetic/*.py` the
generated data. Imports inside functions (lazy ones) count as well: they only put off the moment at which a circle
hurts. All is read with `ast`; nothing is imported. The checks are tried on small packages that break one rule each. The
last part asks what `import vidcls` gives."""
import ast, subprocess, sys, zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

import nbtest, stubs

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT/"vidcls"
ROOF = "engine.cli"  # It may import everything; of the package, only `__main__` imports it
# These may import the course
UPWARD = {f"engine.{m}" for m in
          "audit trainer run report look prepare batch pipeline choose budget windows timelines live judge overlay "
          "shards costs export answers app hub".split()}
PUT_OFF = {}  # Lazy imports that may close a circle: (who, whom), without the package's name -> why


@dataclass(frozen=True)
class Import:
    who: str    # The importing module, without the package's name; "" is the package itself
    whom: str   # The imported module, likewise
    names: tuple # What is taken from it; () for the module itself
    line: int
    lazy: bool  # Inside a function, or for type checkers alone?


class Module:
    "A file of the package: its imports, and the private names of other modules that it uses."
    def __init__(self, root, path, modules):
        self.root, self.modules, self.aliases = root.name, modules, {}
        self.file = path.relative_to(root.parent).as_posix()
        self.name, self.is_package = module_name(root, path), path.name == "__init__.py"
        self.tree = ast.parse(path.read_text(encoding="utf-8"), self.file)
        self.imports = list(self._imports(self.tree, lazy=False))

    def _imports(self, node, lazy):
        for n in ast.iter_child_nodes(node):
            inner = lazy or isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or for_type_checkers(n)
            if isinstance(n, ast.Import): yield from self._import(n, lazy)
            elif isinstance(n, ast.ImportFrom): yield from self._import_from(n, lazy)
            elif text := named_in_a_call(n): yield from self._of(text, (), n.lineno, lazy)
            yield from self._imports(n, inner)

    def _of(self, dotted, names, line, lazy):
        "The import of the module with this full name, if it is one of the package."
        first, _, rest = dotted.partition(".")
        if first == self.root and rest in self.modules: yield Import(self.name, rest, names, line, lazy)

    def _import(self, n, lazy):
        for a in n.names:
            self.aliases[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
            yield from self._of(a.name, (), n.lineno, lazy)

    def _import_from(self, n, lazy):
        base = n.module or ""
        if n.level:
            here = [self.root, *filter(None, self.name.split("."))]
            up = here[:len(here) - n.level + self.is_package]
            base = ".".join([*up, *filter(None, [n.module])])
        names = []
        for a in n.names:
            full = f"{base}.{a.name}"
            self.aliases[a.asname or a.name] = full
            module = list(self._of(full, (), n.lineno, lazy))
            if module: yield from module
            else: names.append(a.name)
        if names: yield from self._of(base, tuple(names), n.lineno, lazy)

    def private_uses(self):
        "(line, module, name) of each `module._name`, where `module` is another one of the package."
        for n in ast.walk(self.tree):
            if not (isinstance(n, ast.Attribute) and is_private(n.attr)): continue
            first, _, rest = ast.unparse(n.value).partition(".")
            full = ".".join(filter(None, [self.aliases.get(first, ""), rest]))
            root, _, module = full.partition(".")
            if root == self.root and module in self.modules and module != self.name: yield n.lineno, module, n.attr


def module_name(root, path):
    "The name of a file's module below the package: `engine.video`, or `` for the package itself."
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_private(name): return name.startswith("_") and not name.endswith("__")


def for_type_checkers(n): return isinstance(n, ast.If) and ast.unparse(n.test).endswith("TYPE_CHECKING")


def named_in_a_call(n):
    "The text in `import_module(\"...\")`, or None."
    if not (isinstance(n, ast.Call) and ast.unparse(n.func).endswith("import_module") and n.args): return None
    text = getattr(n.args[0], "value", None)
    return text if isinstance(text, str) else None


def package(root):
    "All modules of the package in the folder `root`, by name; what nbdev generates for itself is left out."
    paths = [p for p in sorted(root.rglob("*.py")) if p.name != "_modidx.py"]
    names = {module_name(root, p) for p in paths}
    return {m.name: m for m in (Module(root, p, names) for p in paths)}


def floor(module):
    "engine, synthetic or course."
    first, _, rest = module.partition(".")
    return first if rest and first in ("engine", "synthetic") else "course"


# -- the rules: each yields sentences with file, line and way out --

def private_names(modules):
    for m in modules.values():
        used = [(i.line, i.whom, n) for i in m.imports for n in i.names if i.whom != m.name and is_private(n)]
        for line, whom, name in sorted({*used, *m.private_uses()}):
            way = f"give it a public name there, or move what needs it to {whom}"
            yield f"{m.file}:{line}: {name} is private to {whom}: {way}."


def arrows(modules):
    "Imports from one floor of another that the house does not have."
    for m in modules.values():
        for i in m.imports:
            at, here, there = f"{m.file}:{i.line}: ", floor(i.who), floor(i.whom)
            if i.whom == "":
                if i.who != "" and any(not n.startswith("__") for n in i.names):
                    yield (f"{at}{', '.join(i.names)} comes from the package itself, which hides the module: "
                           "import it from its module.")
            elif i.whom == ROOF and i.who not in ("__main__", ROOF):
                yield (f"{at}nothing but __main__ imports {ROOF}: move what {i.who or 'the package'} needs from it "
                       "to the module that does the work.")
            elif here == "engine" and there == "course" and i.who not in {ROOF, *UPWARD}:
                yield (f"{at}{i.who} is below the course, which {i.whom} belongs to: move what it needs to the engine, "
                       "or hand it over as an argument.")
            elif here == "synthetic" and there == "course":
                yield (f"{at}{i.who} makes data and knows no course module, which {i.whom} is: move what it needs to "
                       "the engine, or hand it over as an argument.")


def circles(modules, lazy=False, put_off=()):
    "Circles among the imports that run at import; with `lazy`, among all, without the pairs in `put_off`."
    graph = defaultdict(dict)
    for m in modules.values():
        for i in m.imports:
            counts = i.who != i.whom and (lazy or not i.lazy) and (i.who, i.whom) not in put_off
            if counts: graph[i.who].setdefault(i.whom, i)
    for loop in loops(graph):
        steps = [graph[a][b] for a, b in zip(loop, [*loop[1:], loop[0]])]
        where = [f"{modules[i.who].file}:{i.line}" for i in steps]
        way = [f"{i.whom or 'the package'} ({w}{', lazy' if i.lazy else ''})" for i, w in zip(steps, where)]
        out = "list a lazy one in PUT_OFF with its reason, or move" if lazy else "move"
        yield (f"{where[-1]}: a circle of imports: {' -> '.join([loop[0] or 'the package', *way])}: "
               f"{out} what both need into a module below them.")


def loops(graph):
    "Shortest loops, each a list of nodes, until every node that lies on a loop is in one of them."
    def reach(start, goal):
        seen, paths = {start}, [[start]]
        while paths:
            longer = []
            for p in paths:
                for n in sorted(graph.get(p[-1], ())):
                    if n == goal: return p
                    if n not in seen: seen.add(n); longer.append([*p, n])
            paths = longer
    done = set()
    for node in sorted(graph):
        loop = node not in done and reach(node, node)
        if loop: done |= {*loop}; yield loop


def unused_reasons(modules, put_off):
    have = {(i.who, i.whom) for m in modules.values() for i in m.imports if i.lazy}
    for pair in put_off:
        if pair in have: continue
        yield f"tests/test_imports.py: PUT_OFF lists {' -> '.join(pair)}, no lazy import any more: take it out."


def complaints(root, put_off=()):
    "All that is wrong with the imports of the package in the folder `root`."
    modules = package(root)
    eager = list(circles(modules))
    rest = circles(modules, lazy=True, put_off=put_off) if not eager else ()
    return [*eager, *rest, *private_names(modules), *arrows(modules), *unused_reasons(modules, put_off)]


# -- the house --

def test_the_house():
    found = complaints(PACKAGE, PUT_OFF)
    assert not found, "\n" + "\n".join(found)


# -- the checks themselves --

SOUND = {"__init__.py": "import importlib as i\n"
                        "__version__ = '1'\ndef __getattr__(n): return i.import_module(f'house.{n}')\n",
         "__main__.py": "from house.engine.cli import main\nmain()\n",
         "data.py": "import os\nfrom .engine.video import read\nfrom .synthetic import stick\n",
         "clips.py": "from house.engine import video as v\nfrom house.data import table\nv.read\n",
         "engine/__init__.py": "",
         "engine/video.py": "import av\nfrom house import __version__\ndef read(): av._core\n",
         "engine/audit.py": "from ..data import table\n",
         "engine/cli.py": "def main():\n    from ..clips import Clip\n    import house.data as d\n    d.table\n",
         "synthetic/__init__.py": "",
         "synthetic/stick.py": "from ..engine.video import read\ndef film(): self = read; return self._x\n",
         "synthetic/moves.py": "from .stick import film\n"}


@pytest.fixture
def house(tmp_path):
    "`house(files)`: what is said of a sound package with other or more files, given as name -> text."
    def _house(files=(), **kwargs):
        for name, text in {**SOUND, **dict(files)}.items():
            (tmp_path/"house"/name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path/"house"/name).write_text(text, encoding="utf-8")
        return complaints(tmp_path/"house", **kwargs)
    return _house


def one(found, *words):
    "There is one complaint, and it has these words."
    assert len(found) == 1, found
    assert all(w in found[0] for w in words), found[0]


def test_a_sound_house_has_no_complaints(house): assert not house()


def test_a_circle_is_found(house):
    found = house({"engine/video.py": "\nfrom .cache import c\n", "engine/probe.py": "from . import video\n",
                   "engine/cache.py": "import av\nimport house.engine.probe\n"})
    one(found, "a circle of imports: engine.cache -> engine.probe (house/engine/cache.py:2) -> engine.video "
        "(house/engine/probe.py:1) -> engine.cache (house/engine/video.py:2)", "into a module below them")


@pytest.mark.parametrize("text", [
    "def f():\n    from .cache import c\n", "f = lambda: import_module('house.engine.cache')\n",
    "if TYPE_CHECKING:\n    from .cache import c\n", "class A:\n    def f(self):\n        import house.engine.cache\n"])
def test_a_lazy_circle_is_found_unless_it_has_a_reason(house, text):
    files = {"engine/video.py": text, "engine/cache.py": "from .video import v\n"}
    one(house(files), "engine.cache -> engine.video (house/engine/cache.py:1) -> engine.cache (house/engine/video.py:",
        ", lazy)", "list a lazy one in PUT_OFF")
    assert not house(files, put_off={("engine.video", "engine.cache"): "a reason"})


def test_a_reason_is_no_excuse_for_an_import_that_runs_at_once(house):
    files = {"engine/video.py": "if True:\n    from .cache import c\n",
             "engine/cache.py": "try: from .video import v\nexcept ImportError: v = None\n"}
    assert any("a circle" in c for c in house(files, put_off={("engine.video", "engine.cache"): "a reason"}))


def test_a_reason_that_nothing_needs_is_named(house):
    one(house(put_off={("data", "engine.video"): "an old reason"}), "data -> engine.video", "no lazy import any more")


@pytest.mark.parametrize("name, text, line", [
    ("engine/video.py", "import os\n\nfrom ..data import table\n", 3),
    ("engine/video.py", "from house import data\n", 1), ("engine/cache.py", "def f():\n    import house.clips\n", 2)])
def test_an_arrow_upwards_is_found(house, name, text, line):
    found = [c for c in house({name: text}) if "circle" not in c]
    one(found, f"house/{name}:{line}: ", "is below the course", "hand it over as an argument")


def test_generated_data_knows_no_course_module(house):
    found = [c for c in house({"synthetic/moves.py": "from ..clips import Clip\n"}) if "circle" not in c]
    one(found, "house/synthetic/moves.py:1: ", "synthetic.moves makes data", "clips")


@pytest.mark.parametrize("name, text", [
    ("data.py", "from .engine import cli\n"), ("engine/audit.py", "def f():\n    from house.engine.cli import main\n")])
def test_only_main_imports_the_roof(house, name, text):
    found = [c for c in house({name: text}) if "circle" not in c]
    one(found, f"house/{name}:", "nothing but __main__ imports engine.cli")


@pytest.mark.parametrize("text, line", [
    ("from house.engine.video import read, _seek\n", 1),
    ("from .engine import video as v\n\ndef f(): return v._seek(1)\n", 3),
    ("import house.engine.video\nx = house.engine.video._seek\n", 2),
    ("def f():\n    from house.engine.video import _seek as s\n", 2)])
def test_a_private_name_of_another_module_is_found(house, text, line):
    one(house({"data.py": text}), f"house/data.py:{line}: _seek is private to engine.video: give it a public name")


def test_a_name_of_the_package_itself_hides_its_module(house):
    found = house({"data.py": "from house import read\n"})
    one(found, "house/data.py:1: read comes from the package itself", "import it from its module")


def test_every_rule_is_told_at_once(house):
    found = house({"engine/video.py": "from ..data import table\nfrom .cache import _keep\n", "engine/cache.py": "",
                   "data.py": "from .engine.cli import main\n"})
    for words in ("a circle", "below the course", "is private to", "nothing but __main__"):
        assert [c for c in found if words in c], (words, found)


# -- what `import vidcls` gives --

def python(code):
    p = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert p.returncode == 0, p.stderr
    return p.stdout.split()


def test_the_package_alone_loads_nothing_heavy_and_tells_its_names():
    "`dir` lists the names, which are loaded when they are asked for."
    heavy = "('torch', 'transformers', 'pandas')"
    out = python(f"import sys, vidcls\nprint(*(m for m in {heavy} if m in sys.modules))\n"
                 "print(*sorted(set(vidcls.__all__) - set(dir(vidcls))))")
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
    both = set(vidcls.__all__) & {m.split(".")[0] for m in package(PACKAGE)}
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
