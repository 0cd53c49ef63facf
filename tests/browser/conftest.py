"What the browser tests share: Chromium, JupyterLab on a copy of the checkout, and a folder for screenshots."
import json, os, re, secrets, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

import nbtest
from nbtest import ROOT

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BADGE = "<svg xmlns='http://www.w3.org/2000/svg' width='117' height='20'><rect width='117' height='20' fill='gray'/></svg>"
LAB = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0"]


def pytest_collection_modifyitems(items):
    for i in items:
        if i.path.is_relative_to(HERE): i.add_marker("slow")


def pytest_ignore_collect(collection_path, config):
    "They take minutes and a browser, so they run only where this folder is named, as `make test-browser` does."
    asked = (config.invocation_params.dir/a.split("::")[0] for a in config.args)
    return None if any(p.resolve().is_relative_to(HERE) for p in asked) else True


def chromium(must):
    "The browser's program. Without one, and if there `must` be one, the session ends with a sentence that says what to do."
    named = os.environ.get("VIDCLS_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found: return found
    if named: pytest.exit(f"VIDCLS_CHROMIUM names {named}, which is no program.", returncode=1)
    why = "There is no Chromium: install it (Debian: apt-get install chromium) or set VIDCLS_CHROMIUM to its program."
    if must: pytest.exit(why, returncode=1)
    pytest.skip(why)


@pytest.fixture(scope="session")
def browser(pytestconfig):
    "Headless Chromium; where there is none, `make test-browser` fails, and all slow tests go on without these."
    program = chromium(must=pytestconfig.getoption("markexpr") != "slow")
    try: from playwright.sync_api import sync_playwright
    except ImportError: pytest.exit("Playwright is not installed: run `make setup`.", returncode=1)
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=program)
        yield b
        b.close()


@pytest.fixture
def page(browser):
    "A fresh page; what its scripts raise fails the test. Nothing comes from the network: each picture there is a grey badge."
    context, raised = browser.new_context(viewport=dict(width=1280, height=900)), []
    context.route(re.compile("^https:"), lambda r: r.fulfill(content_type="image/svg+xml", body=BADGE))
    page = context.new_page()
    page.on("pageerror", lambda e: raised.append(str(e)))
    yield page
    context.close()
    assert not raised, "\n".join(raised)


@pytest.fixture(scope="session")
def shots():
    "Where the screenshots go; those of the last run are removed."
    folder = Path(os.environ.get("VIDCLS_HOME") or ROOT/"runs")/"browser"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    "A copy, so that what runs here changes no tracked file."
    return nbtest.copy_tree(tmp_path_factory.mktemp("browser")/"checkout")


@pytest.fixture(scope="session")
def env(checkout, pytestconfig):
    "The environment of all that runs here: the copy's package, the smoke recipe, one home with the data in it."
    env = {**nbtest.own_home(pytestconfig, "browser"), "PYTHONPATH": str(checkout)}
    del env["MPLBACKEND"]  # It would keep plots out of the notebooks
    return env


@pytest.fixture(scope="session")
def lab(browser, checkout, env, tmp_path_factory):
    "JupyterLab as `make lab` starts it, without the user's settings: address, token, folder of the notebooks."
    tmp, token = tmp_path_factory.mktemp("jupyter"), secrets.token_hex(16)
    news = tmp/"settings"/"@jupyterlab"/"apputils-extension"/"notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text(json.dumps(dict(fetchNews="false", checkForUpdates=False)))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    own = dict(JUPYTER_CONFIG_DIR="config", JUPYTER_DATA_DIR="data", JUPYTER_RUNTIME_DIR="runtime", JUPYTERLAB_SETTINGS_DIR="settings",
               JUPYTERLAB_WORKSPACES_DIR="workspaces")
    cmd = [sys.executable, "-m", "jupyterlab", *LAB, f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={checkout/'nbs'}"]
    with open(tmp/"log", "w") as log:
        server = subprocess.Popen(cmd, env={**env, **{k: str(tmp/v) for k, v in own.items()}}, cwd=checkout, stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        assert answers(f"{url}/api/status?token={token}", server), f"JupyterLab did not start:\n{(tmp/'log').read_text()[-3000:]}"
        yield SimpleNamespace(url=url, token=token, nbs=checkout/"nbs")
    finally:
        server.terminate()  # It ends its kernels
        try: server.wait(30)
        except subprocess.TimeoutExpired: server.kill(); server.wait()


def answers(url, server, seconds=90):
    "Whether the server answers at `url` before it ends or the time is up."
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5): return True
        except OSError: time.sleep(.3)
    return False
