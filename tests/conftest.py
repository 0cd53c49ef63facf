"What the tests share: the notebooks' tools, a folder for all workers, and what is built from the checkout."
import logging, shutil, sys
from pathlib import Path

import pytest
from filelock import FileLock

sys.path[:0] = [str(Path(__file__).resolve().parents[1]/d) for d in ("nbs/_tools", "tools", "tools/site")]
import nbtest  # noqa: E402
from videos import write_dataset  # noqa: E402


@pytest.fixture(autouse=True)
def quiet():
    "A command that ran in this process shows messages from then on, and hides them from `caplog`: undo it."
    logger = logging.getLogger("vidcls")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture(scope="session")
def shared(pytestconfig):
    "A folder that all workers of this session share."
    return nbtest.shared_tmp(pytestconfig)


@pytest.fixture(scope="session")
def once(shared):
    "`once(name, make)`: the folder `shared/name`, filled by `make(folder)` in the first worker that asks."
    def _once(name, make):
        folder, done = shared/name, shared/f"{name}.done"
        with FileLock(shared/f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                make(folder)
                done.touch()
        return folder
    return _once


@pytest.fixture(scope="session")
def dist(once, pytestconfig):
    "A folder with the sdist and the wheel, built from a copy of the checkout with this environment's setuptools."
    def _build(folder):
        src = nbtest.copy_tree(folder/"src")
        rc, out = nbtest.run([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, src], env=nbtest.clean_env(pytestconfig))
        assert rc == 0, out
    return once("dist", _build)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    "A small data set in UCF101's layout, not to be changed."
    return write_dataset(tmp_path_factory.mktemp("data")/"set")
