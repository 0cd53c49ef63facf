"""Each chapter alone on a hosted machine: no checkout beside it, torch and the others preinstalled, `google.colab` importable.

The machine is a fresh virtual environment that sees this environment's third-party packages (or those of the Python that
`VIDCLS_HOSTED` names, see tests/tools/matrix.sh), but neither vidcls nor the developers' tools. Only the presence of
`google.colab` is made up."""
import ast, os, re, subprocess, sys
from pathlib import Path

import nbformat, pytest

import nbtest, run_chapters
from nbtest import NBS, ROOT, copy_tree
from make_readme import settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")
CHAPTERS = [n for n in run_chapters.chapters(NBS) if "<!-- badge -->" in (NBS/f"{n}.ipynb").read_text(encoding="utf-8")]
NOT_THERE = ("vidcls", "nbdev", "execnb", "pytest", "_pytest", "xdist", "nbclient", "jupyterlab", "build", "pip", "uv", "__editable__", "__pycache__")
FEW = ("06_train", "15_share") # Training and a server: what the others need is among it
ALL = bool(os.environ.get("VIDCLS_HOSTED") or os.environ.get("ALL"))
HOSTED = os.environ.get("VIDCLS_HOSTED") or sys.executable
CHECK = """
import vidcls, vidcls.engine.recipes
from pathlib import Path
assert vidcls.engine.recipes.on_colab()
print("from", Path(vidcls.__file__).resolve())
"""


def site_packages(python):
    rc, out = nbtest.run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_path('platlib'), sep='\\n')"])
    assert rc == 0, out
    return [Path(p) for p in dict.fromkeys(out.split("\n")) if p]


def preinstalled(folder):
    "Links to all third-party packages of an environment, as a hosted machine has them (dill goes by the folder's name)."
    (folder/"site-packages").mkdir()
    for site in site_packages(HOSTED):
        for p in site.iterdir():
            name = p.name.split("-")[0].split(".")[0].lower()
            if name.startswith("__editable__") or name in NOT_THERE or p.suffix in (".pth", ".egg-link"): continue
            (folder/"site-packages"/p.name).symlink_to(p, target_is_directory=p.is_dir())


@pytest.fixture(scope="session")
def machine(once):
    "`machine(name, pip=...)` makes a machine and returns its Python."
    packages = once("preinstalled", preinstalled)/"site-packages"
    def _machine(name, fill=lambda python: None):
        def _make(folder):
            rc, out = nbtest.run([HOSTED, "-m", "venv", folder])
            if rc: pytest.skip(f"this Python cannot make virtual environments: {out.strip()}")
            python = folder/"bin"/"python"
            site = site_packages(python)[0]
            if (site/"setuptools").exists(): nbtest.run([python, "-m", "pip", "uninstall", "-qy", "setuptools"])  # Old; the linked one counts
            (site/"preinstalled.pth").write_text(f"{packages}\n")
            (site/"google"/"colab").mkdir(parents=True)
            (site/"google"/"colab"/"__init__.py").touch()
            fill(python)
        return once(name, _make)/"bin"/"python"
    return _machine


def own_env(config, python, tmp_path, name):
    "An empty home folder, the machine's own programs, and the session's data so that it is not made again for each chapter."
    (tmp_path/"root").mkdir()
    env = nbtest.own_home(config, f"colab-{name}")
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    return {**env, "HOME": str(tmp_path/"root"), "XDG_CACHE_HOME": str(tmp_path/"root"/".cache"), "PATH": path, "PYTHONNOUSERSITE": "1",
            "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def said_by_setup(nb):
    "What pip printed, if the notebook's set-up cell came to that."
    cells = [c for c in nb.cells if c.cell_type == "code" and "git+https://" in c.source]
    return "\n".join(["", *(t for c in cells for t in run_chapters.texts(c.outputs))])


def run_there(nb, python, env, tmp_path):
    "Run the notebook in an empty folder and return the path that vidcls came from."
    (tmp_path/"content").mkdir()
    nb.cells.append(nbformat.v4.new_code_cell(CHECK))
    error = None
    try: run_chapters.execute(nb, tmp_path/"content", env, python=python, timeout=900)
    except Exception as e: error = run_chapters.explain("The chapter", nb, e)
    if error: pytest.fail(run_chapters.ANSI.sub("", error) + said_by_setup(nb), pytrace=False)
    return Path("".join(o.text for o in nb.cells[-1].outputs).removeprefix("from ").strip())


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_alone(name, machine, dist, tmp_path, pytestconfig):
    "By default a few: every notebook runs in an empty folder in `make test`, and imports what a hosted machine has (below)."
    if not ALL and name not in FEW: pytest.skip("`make test-slow ALL=1` and `make matrix` run all notebooks alone")
    def _install(python):
        rc, out = nbtest.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", *dist.glob("*.whl")])
        assert rc == 0, out
    python = machine("colab", _install)
    nb, _ = run_chapters.load(NBS/f"{name}.ipynb")
    came_from = run_there(nb, python, own_env(pytestconfig, python, tmp_path, name), tmp_path)
    assert came_from.is_relative_to(python.parents[1].resolve())


def setup_cell(name):
    "The cell that installs the package where it is missing."
    nb, _ = run_chapters.load(NBS/f"{name}.ipynb")
    cells = [c for c in nb.cells if c.cell_type == "code" and "git+https://" in c.source]
    assert len(cells) == 1, f"{name} has {len(cells)} set-up cells"
    return nb, cells[0]


def git(*args, cwd): subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args], cwd=cwd, check=True, capture_output=True)


@pytest.mark.slow
def test_setup_cell_installs_the_package(machine, tmp_path, pytestconfig):
    "Nothing but the notebook is there: its set-up cell installs from the repository, here a local one under that address."
    cfg, python = settings(ROOT), machine("bare")
    repo = copy_tree(tmp_path/"repo")
    git("init", "--quiet", "-b", cfg["branch"], cwd=repo)
    git("add", "-A", cwd=repo)
    git("commit", "--quiet", "-m", "working tree", cwd=repo)
    env = own_env(pytestconfig, python, tmp_path, "bare")
    env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{repo.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": f"https://github.com/{cfg['user']}/{cfg['repo']}", "GIT_CONFIG_GLOBAL": os.devnull,
            "PIP_NO_BUILD_ISOLATION": "0"}  # "0" is how pip's variable says: no isolation, so no download of setuptools
    rc, _ = nbtest.run([python, "-c", "import vidcls"], env=env, cwd=tmp_path)
    assert rc, "vidcls is there before it was installed"
    nb, cell = setup_cell(CHAPTERS[0])
    nb.cells = [cell]
    came_from = run_there(nb, python, env, tmp_path)
    assert came_from.is_relative_to(python.parents[1].resolve())


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_imports_only_what_a_hosted_machine_has(name):
    "A helper of tests/ or a developers' tool is there in a checkout, but not where the chapter is alone."
    nb, _ = run_chapters.load(NBS/f"{name}.ipynb")
    source = "\n".join(re.sub(r"^(\s*)[%!].*", r"\1pass", c.source, flags=re.M) for c in nb.cells if c.cell_type == "code")
    trees = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    asked = {a.name.split(".")[0] for n in trees if isinstance(n, ast.Import) for a in n.names}
    asked |= {n.module.split(".")[0] for n in trees if isinstance(n, ast.ImportFrom) and not n.level}
    own = {p.stem for f in ("tests", "tools", "nbs/_tools") for p in (ROOT/f).glob("*.py")}
    assert not asked & ({*NOT_THERE, *own} - {"vidcls"})


def test_all_setup_cells_are_the_same():
    assert len({re.sub(r"^#\|.*\n", "", setup_cell(n)[1].source, flags=re.M) for n in CHAPTERS}) == 1


def test_the_setup_cell_leaves_alone_what_a_kernel_may_have_imported():
    "A newer version on disk than in memory would ask for a restart; `make matrix` does the same with pip."
    from packaging.requirements import Requirement
    there = dict(l.lower().split("==") for l in (ROOT/"tests"/"tools"/"hosted.txt").read_text().split() if "==" in l)
    asked = [Requirement(r) for r in settings(ROOT)["requirements"].split()]
    asked = {r.name.lower(): r.specifier for r in asked if not r.marker or r.marker.evaluate({"python_version": "3.12"})}
    assert {"torch", "torchvision", "numpy", "pandas", "pillow", "ipython", "matplotlib"} <= set(asked) & set(there)
    assert {n for n, s in asked.items() if n in there and not s.contains(there[n])} <= {"transformers", "fastcore"}
