"""What the tests need to run notebooks: data made once a session, and for each notebook a home and a process of its own.

`python nbtest.py NOTEBOOK` is that process: `nbdev.test.test_nb`, so directives such as `#| eval: false` count. Importing
torch, torchvision and transformers takes longer than most notebooks, so where many notebooks run, `python nbtest.py --serve`
does it once and forks a process for each."""
import atexit, ctypes, importlib, json, os, shutil, signal, subprocess, sys, tempfile, time
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
NBS = ROOT/"nbs"
MAKE_DATA = """
from vidcls.data import data_root
from vidcls.engine.recipes import get_recipe
data_root(get_recipe(), progress=False)
"""


def tracked(root=ROOT):
    "The checkout's files, without what git ignores; all of them where there is no git."
    try: out = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        skip = {".git", ".venv", "runs", "build", "dist", "__pycache__", ".pytest_cache", ".ipynb_checkpoints"}
        return sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file() and not skip & set(p.relative_to(root).parts))
    return sorted(Path(p) for p in set(out.split("\0")) if p and (root/p).is_file())


def copy_tree(dst):
    "A copy of the checkout's files at `dst`."
    for p in tracked():
        (dst/p).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT/p, dst/p)
    return dst


def shared_tmp(config):
    "A folder that all workers of this session share."
    base = config._tmp_path_factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def threads(config):
    "Threads for each of the session's processes, so that together they do not ask for more cores than there are."
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    return str(max(1, len(os.sched_getaffinity(0)) // workers if hasattr(os, "sched_getaffinity") else 1))


def data_home(config):
    "Where the session's data lies; set `VIDCLS_TEST_HOME` to keep it from one session to the next."
    kept = os.environ.get("VIDCLS_TEST_HOME")
    return Path(kept).resolve() if kept else shared_tmp(config)/"home"


def clean_env(config, **kw):
    "The environment of a test's process: the smoke recipe, no network, no picture windows, none of the caller's settings."
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VIDCLS_", "PYTEST_", "JUPYTER_", "IPYTHON"))}
    bin, tmp = Path(sys.executable).parent, shared_tmp(config)
    return {**env, "PATH": f"{bin}{os.pathsep}{env.get('PATH', '')}", "VIDCLS_RECIPE": "smoke", "VIDCLS_HOME": str(data_home(config)),
            "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp/"hf"), "MPLBACKEND": "Agg", "IPYTHONDIR": str(tmp/"ipython"), "OMP_NUM_THREADS": threads(config), **kw}


def run(cmd, timeout=1800, **kw):
    "`subprocess.run` in a process group of its own, of which nothing is left afterwards; stdout and stderr come together."
    p = subprocess.Popen([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True, encoding="utf-8", errors="replace", start_new_session=True, **kw)
    try: out, _ = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired: out, p.returncode = f"{cmd} did not end in {timeout} s", 1
    finally:
        if hasattr(os, "killpg"):
            try: os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError: pass
    return p.returncode, out


def own_home(config, name):
    "A fresh home for one test, in which the session's data lies ready: made by the first caller, then shared."
    env, tmp = clean_env(config), shared_tmp(config)
    shared, home = data_home(config), tmp/"homes"/name
    (shared/"data").mkdir(parents=True, exist_ok=True)
    with FileLock(shared/".lock"):
        if not (shared/".ready").exists():
            rc, out = run([sys.executable, "-c", MAKE_DATA], env=env, cwd=ROOT)
            if rc: sys.stderr.write(f"Making the shared test data failed; each notebook tries by itself:\n{out}\n")
            (shared/".ready").touch()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home/"data").symlink_to(shared/"data", target_is_directory=True)
    return {**env, "VIDCLS_HOME": str(home)}


def main(nb):
    "Run one notebook from top to bottom in this process; returns the exit status."
    from nbdev.config import get_config
    from nbdev.test import test_nb
    sys.path[:] = [p for p in sys.path if Path(p).resolve() != NBS/"_tools"]  # A chapter must not see the tools
    flags = get_config(Path(nb).parent).get("tst_flags") or ""
    ok, _ = test_nb(nb, skip_flags=flags.split() if isinstance(flags, str) else flags, basepath=ROOT, cell_timeout=900, cell_timing_min=5)
    sys.stdout.flush(); sys.stderr.flush()
    return 0 if ok else 1


# -- one process that forks many --------------------------------------------------------------------------------------

PRELOAD = ("torch", "torchvision", "transformers", "transformers.models.videomae.modeling_videomae", "transformers.trainer", "pandas",
           "matplotlib.pyplot", "sklearn.metrics", "nbdev.test")


def _child(job):
    "The forked process: its own session, output file, folder and environment; never returns."
    rc = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: do not outlive a server that was killed
        out = os.open(job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1); os.dup2(out, 2); os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear(); os.environ.update(job["env"])
        os.chdir(job["cwd"])
        rc = main(job["nb"])
    finally: os._exit(rc)  # Threads of the notebook's shell must not keep it alive


def _wait(pid, timeout, parent):
    "The exit status of the process `pid`, of whose session nothing is left when this returns."
    end, status = time.monotonic() + timeout, None
    while status is None:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done: status = os.waitstatus_to_exitcode(code)
        elif time.monotonic() > end or os.getppid() != parent: os.killpg(pid, signal.SIGKILL)
        if status is None: time.sleep(.02)
    try: os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError: pass
    return status


def serve():
    "Fork a process for each job that comes in on stdin (a JSON line); answer with its exit status."
    answers, parent = os.fdopen(os.dup(1), "w"), os.getppid()
    os.dup2(2, 1)  # What is printed from here on is no answer
    for m in PRELOAD:
        try: importlib.import_module(m)
        except ImportError: pass  # The notebook that needs it says so
    while line := sys.stdin.readline():
        job = json.loads(line)
        pid = os.fork()
        if not pid: _child(job)
        print(_wait(pid, job["timeout"], parent), file=answers, flush=True)
        if os.getppid() != parent: return


_server = []


def notebook(nb, env, cwd, many=False, timeout=1800):
    "Run a notebook in a process of its own; returns its exit status and what it printed."
    if not (many and sys.platform == "linux"): return run([sys.executable, __file__, nb], timeout=timeout, env=env, cwd=cwd)
    if not _server or _server[0].poll() is not None:
        p = subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, env=env, cwd=cwd)
        _server[:] = [p]
        atexit.register(p.stdin.close)
    with tempfile.TemporaryDirectory() as tmp:
        job = dict(nb=str(nb), env=env, cwd=str(cwd), out=f"{tmp}/out", timeout=timeout)
        _server[0].stdin.write(json.dumps(job) + "\n"); _server[0].stdin.flush()
        rc = _server[0].stdout.readline().strip()
        out = Path(job["out"]).read_text(encoding="utf-8", errors="replace") if Path(job["out"]).exists() else ""
    return (int(rc), out) if rc else (1, f"{out}\nThe process that runs notebooks has died.")


if __name__ == "__main__":
    if sys.argv[1] == "--serve": serve()
    else: os._exit(main(Path(sys.argv[1]).resolve()))
