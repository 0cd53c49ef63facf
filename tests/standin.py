"""A stand-in for the recipe `ucf101`: the same kind of data and checkpoint, so small that no GPU is needed.

Real folders in UCF101's layout and with ten of its class names, 320 x 240 AVI files, two or fewer for each class and split;
a checkpoint with a decoder, 16 frames of 224 x 224 and `pixel_values` at full size, but two narrow layers.
`python standin.py FOLDER NOTEBOOK` runs a chapter with it, and `python standin.py FOLDER train` trains the chapters' model."""
import json, os, shutil, sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]/"nbs"/"_tools"))

NAME = "ucf101-standin"
LABELS = ("ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching", "BaseballPitch", "Basketball",
          "BasketballDunk", "BenchPress")


def write(folder):
    "The stand-in's data and checkpoint in `folder`."
    from transformers import VideoMAEForPreTraining
    from vidcls.synthetic.stick import make_stickucf
    from videos import tiny_config, write_checkpoint
    films = make_stickucf(folder/"films", per_class=(2, 1, 2), workers=1, progress=False)
    new = dict(zip(sorted(d.name for d in (films/"train").iterdir()), LABELS))
    for f in films.glob("*/*/*.avi"):
        split, label, name = f.relative_to(films).parts
        to = folder/"data"/split/new[label]/name.replace(label, new[label])
        to.parent.mkdir(parents=True, exist_ok=True)
        f.rename(to)
    shutil.rmtree(films)
    geometry = dict(image_size=224, num_frames=16, patch_size=16, tubelet_size=2, hidden_size=24)
    made = write_checkpoint(folder/"videomae-base", VideoMAEForPreTraining(tiny_config(**geometry, norm_pix_loss=True)), size=224)
    (made/"video_preprocessor_config.json").unlink() # As published, it has the settings of an image processor
    (made/"preprocessor_config.json").write_text(json.dumps(dict(do_center_crop=True, do_normalize=True, do_resize=True, size=224, resample=2,
        feature_extractor_type="VideoMAEFeatureExtractor", image_mean=[.485, .456, .406], image_std=[.229, .224, .225])))


def recipe(folder):
    "The recipe `ucf101` with this data and checkpoint, and one epoch."
    from vidcls.engine.recipes import RECIPES
    return replace(RECIPES["ucf101"], name=NAME, data=str(folder/"data"), checkpoint=str(folder/"videomae-base"), data_revision=None,
                   checkpoint_revision=None, epochs=1, eval_clips=2)


if __name__ == "__main__":
    import nbtest
    from vidcls.engine import recipes
    folder, notebook = map(Path, sys.argv[1:])
    recipes.RECIPES[NAME] = recipe(folder)
    if str(notebook) == "train":
        from vidcls.train import tutorial_model
        tutorial_model(recipes.RECIPES[NAME], progress=False)
        sys.exit()
    os._exit(nbtest.main(notebook.resolve()))
