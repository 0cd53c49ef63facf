"""Run notebooks as tests, with data that is made once per session, and a separate home and process for each notebook.

`nbdev.test.test_nb` runs the notebook in that process, so directives such as `#| eval: false` are respected. Importing
torch, torchvision and transformers takes longer than most notebooks, so for many notebooks, a fork server does it once."""
import multiprocessing, os, shutil, signal, subprocess, sys, tempfile
from multiprocessing import forkserver
from pathlib import Path
from unittest import mock

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
NBS = ROOT/"nbs"
MAKE_DATA = """
from vidcls.data import data_root
from vidcls.engine.recipes import get_recipe
data_root(get_recipe(), progress=False)
"""
MAKE_MODEL = """
from vidcls.engine.machine import home
(home()/"data").symlink_to({data!r}, target_is_directory=True)
from vidcls.engine.recipes import get_recipe
from vidcls.train import tutorial_model
tutorial_model(get_recipe(), progress=False)
"""


def tracked(root=ROOT):
    "The files of the checkout, without those that git ignores; all files if there is no git."
    try: out = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=root, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        skip = {".git", ".venv", "runs", "build", "dist", "__pycache__", ".pytest_cache", ".ipynb_checkpoints"}
        return sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file() and not skip & set(p.relative_to(root).parts))
    return sorted(Path(p) for p in set(out.split("\0")) if p and (root/p).is_file())


def copy_tree(dst):
    "Copy the files of the checkout to `dst`."
    for p in tracked():
        (dst/p).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT/p, dst/p)
    return dst


def shared_tmp(config):
    "A folder that all workers of this test session share."
    base = config._tmp_path_factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def threads(config):
    "The number of threads per process, so that all processes together do not use more threads than there are cores."
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    return str(max(1, len(os.sched_getaffinity(0)) // workers if hasattr(os, "sched_getaffinity") else 1))


def data_home(config):
    "The folder of the session's data; set `VIDCLS_TEST_HOME` to keep it from one session to the next."
    kept = os.environ.get("VIDCLS_TEST_HOME")
    return Path(kept).resolve() if kept else shared_tmp(config)/"home"


def clean_env(config, **kw):
    "The environment of a test's process: smoke recipe, no network, no windows, and none of the caller's settings."
    env = {k: v for k, v in os.environ.items() if not k.startswith(("VIDCLS_", "PYTEST_", "JUPYTER_", "IPYTHON"))}
    bin, tmp = Path(sys.executable).parent, shared_tmp(config)
    return {**env, "PATH": f"{bin}{os.pathsep}{env.get('PATH', '')}", "VIDCLS_RECIPE": "smoke", "VIDCLS_HOME": str(data_home(config)),
            "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp/"hf"), "MPLBACKEND": "Agg", "IPYTHONDIR": str(tmp/"ipython"), "OMP_NUM_THREADS": threads(config), **kw}


def run(cmd, timeout=1800, **kw):
    "`subprocess.run` in a separate process group, which is killed at the end; returns stdout and stderr together."
    p = subprocess.Popen([str(c) for c in cmd], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, encoding="utf-8",
                         stderr=subprocess.STDOUT, errors="replace", start_new_session=True, **kw)
    try: out, _ = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired: out, p.returncode = f"{cmd} did not finish within {timeout} s", 1
    finally:
        if hasattr(os, "killpg"):
            try: os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError: pass
    return p.returncode, out


def made_once(config, home, what, code):
    "Run Python code in the first process of the session that asks for it; what it makes is in `home`."
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home/".lock"):
        if not (done := home/f".{what}").exists():
            rc, out = run([sys.executable, "-c", code], env=clean_env(config, VIDCLS_HOME=str(home)), cwd=ROOT)
            if rc: sys.stderr.write(f"Making the shared {what} failed, so each notebook will make its own:\n{out}\n")
            done.touch()


def own_home(config, name, trained=False):
    "A fresh home for one test, with the session's data and perhaps a copy of its model; the first caller makes both."
    shared, home, model = data_home(config), shared_tmp(config)/"homes"/name, shared_tmp(config)/"trained"
    (shared/"data").mkdir(parents=True, exist_ok=True)
    made_once(config, shared, "data", MAKE_DATA)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home/"data").symlink_to(shared/"data", target_is_directory=True)
    if trained:
        made_once(config, model, "model", MAKE_MODEL.format(data=str(shared/"data")))
        if (model/"tutorial").exists(): shutil.copytree(model/"tutorial", home/"tutorial")
    # `evaluate` imports metric scripts from this folder
    return {**clean_env(config), "VIDCLS_HOME": str(home), "HF_MODULES_CACHE": str(home/"modules")}


# -- a process for each notebook --------------------------------------------------------------------------------------

PRELOAD = ("torch", "torchvision", "transformers", "transformers.models.videomae.modeling_videomae",
           "transformers.trainer", "pandas", "matplotlib.pyplot", "sklearn.metrics", "nbdev.test")


def main(nb):
    "Run one notebook from top to bottom in this process; returns the exit status."
    from nbdev.config import get_config
    from nbdev.test import test_nb
    hidden = (NBS, ROOT/"tests")  # A notebook must not be able to import the tools
    sys.path[:] = [p for p in sys.path if not any(Path(p).resolve().is_relative_to(h) for h in hidden)]
    # A test that loaded a metric in this session has left its folder here, which would hide the notebook's own metrics
    sys.path[:] = [p for p in sys.path if not (Path(p)/"evaluate_modules").is_dir()]
    flags = get_config(Path(nb).parent).get("tst_flags") or ""
    flags = flags.split() if isinstance(flags, str) else flags
    ok, _ = test_nb(nb, skip_flags=flags, basepath=ROOT, cell_timeout=900, cell_timing_min=5)
    sys.stdout.flush()
    sys.stderr.flush()
    return 0 if ok else 1


def _job(nb, env, cwd, out):
    "Run the notebook in a new session, which ends together with the process that started it."
    import fcntl
    os.setsid()
    ended = multiprocessing.parent_process().sentinel
    fcntl.fcntl(ended, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(ended, fcntl.F_SETFL, os.O_ASYNC)  # The session then gets SIGIO, which ends it
    fd = os.open(out, os.O_WRONLY)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    # The notebook's own processes must start as they do for a reader, not as this one did
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    os._exit(main(nb))  # Threads of the notebook's shell must not keep the process alive


def notebook(nb, env, cwd, many=False, timeout=1800):
    "Run a notebook in a separate process; returns its exit status and what it printed."
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOAD] if many and sys.platform == "linux" else [])
    # Libraries read the number of their threads on import, so the server starts in the notebook's environment.
    with mock.patch.dict(os.environ, env, clear=True): forkserver.ensure_running()
    with tempfile.NamedTemporaryFile() as out:
        p = context.Process(target=_job, args=(nb, env, cwd, out.name))
        p.start()
        p.join(timeout)
        late = f"\n{nb} did not finish within {timeout} s" if p.is_alive() else ""
        try: os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError: pass
        p.join()
        return p.exitcode, out.read().decode(errors="replace") + late
