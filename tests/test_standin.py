"The chapters under a small stand-in for the recipe `ucf101`: the very same cells, at its geometry, without a GPU."
import os, shutil, sys
from pathlib import Path

import nbtest, pytest, run_chapters, standin
from nbtest import NBS
from videos import variant

pytestmark = pytest.mark.slow # Full-size frames
FLOORS = ["course", "engine"] if os.environ.get("ALL") else ["course"] # The workflow of every week runs all
OTHERS = ("10_", "11_", "12_", "13_", "14_", "16_") # What is special about the recipe is in the chapters before them, and these take long
RECIPES = "engine/recipes" # Defines the recipes itself, and loads nothing
CHAPTERS = [n for n in dict.fromkeys([*run_chapters.chapters(NBS, floors=FLOORS), RECIPES])
            if "recipe" in (NBS/f"{n}.ipynb").read_text(encoding="utf-8")] # The others would run as they always do
TRAINS = "06_train" # Trains the model that the others take


@pytest.mark.parametrize("name", [pytest.param(n, marks=variant) if n.startswith(OTHERS) else n for n in CHAPTERS])
def test_a_chapter_runs_as_if_its_recipe_were_ucf101(name, once, pytestconfig):
    folder = once("ucf101-standin", standin.write)
    def train(home):
        env = nbtest.clean_env(pytestconfig, VIDCLS_RECIPE=standin.NAME, VIDCLS_HOME=str(home))
        rc, out = nbtest.run([sys.executable, Path(__file__).with_name("standin.py"), folder, "train"], env=env, cwd=NBS)
        assert rc == 0, out
    home = folder.parent/"standin-homes"/name
    home.mkdir(parents=True)
    if name != TRAINS and "tutorial_model(" in (NBS/f"{name}.ipynb").read_text(encoding="utf-8"):
        shutil.copytree(once("ucf101-standin-model", train)/"tutorial", home/"tutorial")
    recipe = "ucf101" if name == RECIPES else standin.NAME
    env = nbtest.clean_env(pytestconfig, VIDCLS_RECIPE=recipe, VIDCLS_HOME=str(home))
    rc, out = nbtest.run([sys.executable, Path(__file__).with_name("standin.py"), folder, NBS/f"{name}.ipynb"], env=env, cwd=NBS)
    assert rc == 0, out
