"The chapters under a small stand-in for the recipe `ucf101`: the very same cells, at its geometry, without a GPU."
import sys
from pathlib import Path

import nbtest, pytest, standin
from nbtest import NBS

pytestmark = pytest.mark.slow # Full-size frames
CHAPTERS = sorted(p.stem for p in NBS.glob("*.ipynb"))


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_as_if_its_recipe_were_ucf101(name, once, pytestconfig):
    folder = once("ucf101-standin", standin.write)
    home = folder.parent/"standin-homes"/name
    home.mkdir(parents=True)
    env = nbtest.clean_env(pytestconfig, VIDCLS_RECIPE=standin.NAME, VIDCLS_HOME=str(home))
    rc, out = nbtest.run([sys.executable, Path(__file__).with_name("standin.py"), folder, NBS/f"{name}.ipynb"], env=env, cwd=NBS)
    assert rc == 0, out
