"The browser tests where there is no browser, or where nobody asked for them."
import os, subprocess, sys

import pytest

from nbtest import ROOT

pytestmark = pytest.mark.slow # Each starts pytest anew


def pytest_run(*args, **env):
    return subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args], cwd=ROOT, capture_output=True, text=True,
                          env={**{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "VIDCLS_"))}, **env})


def test_without_chromium_they_fail_and_say_what_to_install(tmp_path):
    p = pytest_run("tests/browser/test_browser.py", PATH=str(tmp_path))
    assert p.returncode == 1 and "There is no Chromium: install it" in p.stdout, p.stdout
    assert "passed" not in p.stdout and "skipped" not in p.stdout


def test_among_the_slow_tests_they_are_skipped_and_say_why(tmp_path):
    p = pytest_run("tests/browser/test_browser.py", "-m", "slow", PATH=str(tmp_path))
    assert p.returncode == 0 and "There is no Chromium: install it" in p.stdout, p.stdout
    assert "passed" not in p.stdout and "skipped" in p.stdout


def test_they_run_only_where_they_are_named():
    p = pytest_run("tests", "--collect-only", "-q", f"--ignore-glob={ROOT/'tests'/'test_*.py'}")
    assert p.returncode == 5 and "test_browser" not in p.stdout, p.stdout
    p = pytest_run("tests/browser/test_browser.py", "--collect-only", "-q")
    assert p.returncode == 0 and "test_browser" in p.stdout, p.stdout
