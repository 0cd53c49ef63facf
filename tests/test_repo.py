"The repository keeps its promises: everything is in step, chapters and exports have their shape, nothing of a machine is stored."
import ast, io, json, re, subprocess, sys, tarfile, tokenize, zipfile
from pathlib import Path

import pytest, yaml

import make_readme, nbtest, run_chapters
from nbtest import NBS, ROOT, copy_tree, tracked

CHAPTERS = [n for n in run_chapters.chapters(NBS) if n != "index"]
NOTEBOOKS = run_chapters.chapters(NBS, solutions=True)
MODULES = sorted(p for p in (ROOT/"vidcls").rglob("*.py") if p.name != "_modidx.py")
CFG = make_readme.settings(ROOT)
MAX_LINES = 25  # Of a function's body


def read(name): return json.loads((NBS/f"{name}.ipynb").read_text(encoding="utf-8"))
def source(cell): return make_readme.joined(cell["source"])
def python(*args, **kw): return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=ROOT, **kw)


# -- in step ----------------------------------------------------------------------------------------------------------

def test_export_changes_nothing(tmp_path, pytestconfig):
    "What `make export` does leaves a fresh copy as it is."
    root, bin = copy_tree(tmp_path/"copy"), Path(sys.executable).parent
    tools = root/"nbs"/"_tools"
    for cmd in ([bin/"nbdev-export"], [sys.executable, tools/"stubs.py"], [bin/"nbdev-clean"], [sys.executable, tools/"make_readme.py"]):
        rc, out = nbtest.run(cmd, cwd=root, env=nbtest.clean_env(pytestconfig))
        assert rc == 0, out
    now = {p.relative_to(root) for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    now = {p for p in now if p.parts[-1] != ".last_checked"}
    changed = sorted(str(p) for p in now ^ set(tracked())) + [str(p) for p in sorted(now & set(tracked())) if (root/p).read_bytes() != (ROOT/p).read_bytes()]
    assert not changed, f"run `make export`: it changes {', '.join(changed)}"


def test_one_place_for_requirements():
    "Only settings.ini names versions of what is required (setuptools also builds, which pyproject.toml must say)."
    names = {re.match(r"[\w.-]+", r)[0] for k in CFG if k.endswith("requirements") for r in CFG[k].split()} - {"setuptools"}
    spec = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})(?:\[\w+\])?\s*(?:[<>=!~]=|[<>])\s*\d", re.I)
    for f in ("pyproject.toml", "setup.py", "Makefile", ".ci/run", "README.md"): assert not spec.search((ROOT/f).read_text(encoding="utf-8")), f
    others = [p for p in tracked() if re.match(r"(requirements.*\.txt|environment.*\.ya?ml|setup\.cfg|Pipfile)$|.*\.lock$", p.name)]
    assert not others
    for n in NOTEBOOKS:
        for l in (l for c in read(n)["cells"] for l in source(c).splitlines() if "pip install" in l and "%pip" in l): assert not spec.search(l), (n, l)
    toml = (ROOT/"pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={CFG["min_python"]}"' in toml


def text_files():
    for p in tracked():
        try: yield p, (ROOT/p).read_text(encoding="utf-8")
        except UnicodeDecodeError: pass


def test_nothing_of_a_machine():
    "No registry addresses, no folders of the machine that this was written on, no tokens (the tests make some up)."
    hosts = ["files.pythonhosted" + ".org", "pypi.org" + "/simple", "download.pytorch" + ".org", "--extra-index" + "-url", "--index" + "-url"]
    places = [f"{d}/" for d in (ROOT, Path.home()) if len(d.parts) > 1]
    token = re.compile(r"\bhf_[A-Za-z0-9]{20,}|_token=[\w-]{20,}")
    bad = [f"{p}: {w}" for p, s in text_files() for w in [*hosts, *places] if w in s] + [f"{p}: a token" for p, s in text_files() if p.parts[0] != "tests" and token.search(s)]
    assert not bad


def test_sizes():
    "No file over 1 MB but the two checkpoints, which are at most 8 MB."
    big = {p: (ROOT/p).stat().st_size for p in tracked() if (ROOT/p).stat().st_size > 2**20}
    assert all(p.suffix == ".safetensors" and n <= 8*2**20 for p, n in big.items()) and len(big) <= 2, big


# -- what maintainers rely on -----------------------------------------------------------------------------------------

YAML = [p for p in tracked() if p.suffix in (".yml", ".yaml", ".cff")]
WORKFLOWS = [p for p in YAML if p.parent.name == "workflows"]


def parsed_yaml(path): return yaml.safe_load((ROOT/path).read_text(encoding="utf-8"))
def name(path): return path.as_posix()


@pytest.mark.parametrize("path", YAML, ids=name)
def test_yaml_is_read(path): assert isinstance(parsed_yaml(path), dict)


@pytest.mark.parametrize("path", WORKFLOWS, ids=name)
def test_workflows_are_careful(path):
    "They end, may read alone, use actions of a major version, and give what publishes nothing but that."
    flow = parsed_yaml(path)
    assert flow["permissions"] == {"contents": "read"} and flow["concurrency"]["group"]
    for job, what in flow["jobs"].items():
        assert what["timeout-minutes"] <= 120
        publishes = {"publish": {"id-token": "write"}, "deploy": {"pages": "write", "id-token": "write"}}
        assert what.get("permissions", {}) == publishes.get(job, {})
        used = [s["uses"] for s in what["steps"] if "uses" in s]
        assert not [u for u in used if not re.search(r"@(release/)?v\d+$", u)]
    named = re.findall(r"\b(?:tests|nbs)/[\w./]+\.py", (ROOT/path).read_text(encoding="utf-8"))
    assert not [n for n in named if not (ROOT/n).exists()]


@pytest.mark.parametrize("path", [p for p in YAML if p.parent.name == "ISSUE_TEMPLATE" and p.stem != "config"], ids=name)
def test_issue_forms(path):
    form = parsed_yaml(path)
    assert form["name"] and form["description"]
    for part in form["body"]:
        assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes")
        assert part["attributes"]["value" if part["type"] == "markdown" else "label"]
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert ids and len(set(ids)) == len(ids)


def test_hooks_name_what_there_is():
    "Local hooks only; each runs a tool that `make setup` installs, on files that are in the checkout."
    for repo in parsed_yaml(Path(".pre-commit-config.yaml"))["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            tool, *args = hook["entry"].split()
            assert hook["language"] == "system" and tool.startswith(".venv/bin/")
            assert tool.endswith("/python") or tool.rpartition("/")[2] in {re.match(r"[\w.-]+", r)[0] for r in CFG["dev_requirements"].split()} | {
                "nbdev-export", "nbdev-clean"}
            assert not [a for a in args if "/" in a and not (ROOT/a).exists()]
            if "files" in hook: assert any(re.search(hook["files"], p.as_posix()) for p in tracked())


def test_one_version_and_one_address():
    "The package, the citation and the changelog agree, with each other and with settings.ini."
    import vidcls
    cite, url = parsed_yaml(Path("CITATION.cff")), f"https://github.com/{CFG['user']}/{CFG['repo']}"
    assert cite["version"] == vidcls.__version__, "set both to the version of the newest release"
    assert cite["license"] == CFG["license"] and cite["repository-code"] == url and cite["authors"][0]["name"] == CFG["author"]
    heads = re.findall(r"^## \[(.+?)\] - (Unreleased|\d{4}-\d\d-\d\d)$", (ROOT/"CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert vidcls.__version__ in dict(heads) and not [v for v, day in heads[1:] if day == "Unreleased"]
    files = [p for p in tracked() if p.name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff") or p.parts[0] == ".github"]
    for p in files:
        for there in re.findall(r"https://github\.com/[\w-]+/[\w-]+", (ROOT/p).read_text(encoding="utf-8")): assert there == url, p


@pytest.mark.parametrize("path", [p for p in tracked() if len(p.parts) == 1 and p.suffix == ".md"], ids=name)
def test_links_of_pages_lead_somewhere(path):
    links = [l.split("#")[0] for l in re.findall(r"\]\(([^)\s]+)\)", (ROOT/path).read_text(encoding="utf-8")) if not re.match(r"[a-z]+:|#", l)]
    assert not [l for l in links if l and not (ROOT/l).exists()]


# -- chapters ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_outputs(name):
    "Outputs come from a run without errors, and hold nothing that must not be stored."
    nb = read(name)
    assert not run_chapters.complaints(nb)
    outputs = [(c["id"], o) for c in nb["cells"] for o in c.get("outputs", [])]
    assert not [i for i, o in outputs if o["output_type"] == "error"]
    assert not [i for i, o in outputs if o.get("name") == "stderr"]
    assert not [i for i, o in outputs if any("widget" in k for k in o.get("data", {}))] and "widgets" not in nb["metadata"]
    progress = [i for i, o in outputs if any("<progress" in t or "\r" in t or run_chapters.BAR.search(t) for t in run_chapters.texts([o]))]
    assert not progress
    missing = [c["id"] for c in nb["cells"] if c["cell_type"] == "code" and shows(c) and not c["outputs"]]
    assert not missing, "run `make outputs`: these cells show something, but store nothing"


def shows(cell):
    "Does running the cell surely show something: does it end in a name, an attribute, an item, a tuple, or a print?"
    src = source(cell)
    if re.search(r"^#\|\s*(eval:\s*false|export)", src, re.M) or src.rstrip().endswith(";"): return False
    try: last = ast.parse("\n".join(l for l in src.splitlines() if not l.startswith(("%", "!")))).body[-1:]
    except SyntaxError: return False
    if not last or not isinstance(last[0], ast.Expr): return False
    e = last[0].value
    return isinstance(e, (ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Dict)) or (
        isinstance(e, ast.Call) and isinstance(e.func, ast.Name) and e.func.id == "print")


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_shape(name):
    nb, path = read(name), NBS/f"{name}.ipynb"
    first = nb["cells"][0]
    title, promise = make_readme.promise(path)
    assert first["cell_type"] == "markdown" and source(first).startswith("# ") and title and promise
    assert make_readme.badge(CFG, f"nbs/{name}.ipynb") in source(first)
    code = [source(c) for c in nb["cells"] if c["cell_type"] == "code"]
    assert not [c for c in code if re.search(r"nbdev_export\(|showdoc", c)], "breaks for a reader without nbdev"
    text = "\n".join(source(c) for c in nb["cells"] if c["cell_type"] == "markdown")
    if re.search(r"^#+ Exercises", text, re.M):
        assert (NBS/"solutions"/path.name).exists(), "exercises without worked answers"
        assert f"solutions/{path.name})" in text, "the worked answers are not linked"
    ids = [c["id"] for c in nb["cells"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_somewhere(name):
    "Every relative link and picture in the prose is there."
    path = NBS/f"{name}.ipynb"
    text = "\n".join(re.sub(r"```.*?```|`[^`]*`", "", source(c), flags=re.S) for c in read(name)["cells"] if c["cell_type"] == "markdown")
    links = [l.split("#")[0] for l in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"[a-z]+:|#", l)]
    assert not [l for l in links if l and not (path.parent/l).exists()]


@pytest.mark.parametrize("name, text", [("index", "hero.gif"), ("synthetic/moves", "moves.gif")])
def test_stored_gifs_have_the_speed_of_the_film(name, text):
    "Every second frame of sixteen: two fifteenths of the clip apart, up to the GIF's hundredths of a second."
    from base64 import b64decode
    from PIL import Image
    from vidcls.clips import ClipSpec
    cell = next(c for c in read(name)["cells"] if c["cell_type"] == "code" and text in source(c))
    gif = Image.open(io.BytesIO(b64decode(cell["outputs"][-1]["data"]["image/gif"])))
    assert gif.n_frames == 8 and abs(gif.info["duration"] - 2000*ClipSpec().seconds/15) <= 5


# -- the package ------------------------------------------------------------------------------------------------------

def parsed(path):
    "A module's tree, its public names, and the lines that end in a comment."
    src = path.read_text(encoding="utf-8")
    tree = ast.parse(src)
    listed = (n.value.elts for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "__all__")
    names = [n.value for n in next(listed, []) if isinstance(n, ast.Constant)]  # `*_HOME` are names of other modules
    comments = {t.start[0] for t in tokenize.generate_tokens(io.StringIO(src).readline) if t.type == tokenize.COMMENT}
    return tree, set(names), comments


def patched(f):
    "The class that fastcore's `@patch` gives a function to, if it does."
    if any(re.match(r"patch\b", ast.unparse(d)) for d in f.decorator_list): return f.args.args[0].annotation.id


def functions(node, prefix=""):
    "All functions and methods below `node`, with their dotted names and whether they are methods."
    for n in getattr(node, "body", []):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            owner = patched(n)
            yield f"{owner}.{n.name}" if owner else prefix + n.name, n, bool(owner or prefix)
        elif isinstance(n, ast.ClassDef): yield from functions(n, f"{prefix}{n.name}.")


def public(dotted, names):
    first, *rest = dotted.split(".")
    return first in names and not any(r.startswith("_") for r in rest)


def undocumented(path):
    "What a public name of the module lacks, one sentence each."
    tree, names, comments = parsed(path)
    for dotted, f, method in functions(tree):
        if not public(dotted, names): continue
        doc = ast.get_docstring(f)
        if not (doc and doc.splitlines()[0].strip()): yield f"{dotted} has no docstring"
        args = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs]
        static = any(getattr(d, "id", "") == "staticmethod" for d in f.decorator_list)
        for a in args[1:] if method and not static else args:
            default = dict(zip([x.arg for x in args[len(args) - len(f.args.kwonlyargs) - len(f.args.defaults):]], [*f.args.defaults, *f.args.kw_defaults]))
            end = max(a.end_lineno, getattr(default.get(a.arg), "end_lineno", 0) or 0)
            if end not in comments: yield f"{dotted}: the parameter {a.arg} has no comment"
            if [b.arg for b in args if b is not a and b.arg not in ("self", "cls") and b.end_lineno == a.end_lineno]: yield f"{dotted}: {a.arg} shares its line with another parameter"
    for c in (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name in names):
        if not ast.get_docstring(c): yield f"{c.name} has no docstring"
        if not any("dataclass" in ast.unparse(d) for d in c.decorator_list): continue
        for a in (n for n in c.body if isinstance(n, ast.AnnAssign)):
            if a.end_lineno not in comments: yield f"{c.name}: the field {a.target.id} has no comment"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_exports(path):
    "Public names are documented, functions are short, nothing is star-imported."
    assert not list(undocumented(path))
    tree = parsed(path)[0]
    long = {d: n for d, f, _ in functions(tree) if (n := f.end_lineno - f.body[0].lineno + 1) > MAX_LINES}
    assert not long, f"more than {MAX_LINES} lines"
    assert not [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names)]


HEAVY = ("torch", "torchvision", "transformers", "pandas", "matplotlib", "pytorchvideo", "sklearn", "av")
LOADED = f"import sys; print([m for m in {HEAVY} if m in sys.modules])"


def test_light_import():
    "Importing the package and asking the command for help load nothing heavy."
    p = python("-c", f"import vidcls\n{LOADED}")
    assert p.stdout.strip() == "[]", p.stdout + p.stderr
    p = python("-c", f"import sys\nfrom vidcls.engine.cli import main\nsys.argv = ['vidcls', '--help']\ntry: main()\nexcept SystemExit as e: assert not e.code\n{LOADED}")
    assert p.stdout.strip().splitlines()[-1:] == ["[]"], p.stdout + p.stderr


def test_python_m():
    p = python("-m", "vidcls", "--help")
    assert p.returncode == 0, p.stderr
    for c in ("finetune", "predict", "evaluate", "stick", "doctor", "check-data"): assert c in p.stdout


# -- what is built ----------------------------------------------------------------------------------------------------

def test_sdist(dist):
    names = {n.split("/", 1)[1] for n in tarfile.open(next(dist.glob("*.tar.gz"))).getnames() if "/" in n}
    assert {"settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE", "vidcls/__init__.py"} <= names
    assert not [n for n in names if n.split("/")[0] in ("nbs", "tests", "runs")]


def test_wheel(dist):
    wheel = zipfile.ZipFile(next(dist.glob("*.whl")))
    names = set(wheel.namelist())
    want = {p.as_posix() for p in tracked() if p.parts[0] == "vidcls"}
    assert not want - names, "files of the package that the wheel lacks"
    assert {n.split("/")[0].split("-")[0] for n in names} == {"vidcls"}
    info = next(n for n in names if n.endswith("METADATA"))
    meta = wheel.read(info).decode()
    need = re.findall(r"^Requires-Dist: (.*)$", meta, re.M)
    assert len([n for n in need if "extra ==" not in n]) == len(CFG["requirements"].split())
    extras = {k.removesuffix("_requirements"): len(set(CFG[k].split())) for k in CFG if k.endswith("_requirements")}
    counts = {k: len([n for n in need if re.search(rf"extra == .{k}.$", n)]) for k in extras}
    assert counts == extras | dict(dev=len({r for k in extras for r in CFG[f"{k}_requirements"].split()})), "dev has every extra"
    assert f"Requires-Python: >={CFG['min_python']}" in meta and re.search(rf"^License(?:-Expression)?: {CFG['license']}$", meta, re.M)
    entry = wheel.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert re.search(r"^vidcls *= *vidcls\.engine\.cli:main$", entry, re.M)


def test_readme_names_every_command():
    from vidcls.engine.cli import COMMANDS
    text = (ROOT/"README.md").read_text(encoding="utf-8")
    assert not [c for c in COMMANDS if f"| `vidcls {c}" not in text]
