"""Compare training on original videos with training on a copy of them, in pairs with the same seed.

Each pair trains by the same recipe from the same checkpoint, once on the folder `split/class/video` and once on its
copy. Two tables result: a line per training, and a line per test video of each training that says whether the model was
right. The script continues where it stopped, and prints how much better the copy is, with its 95 % interval."""
import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vidcls.clips import ClipSpec
from vidcls.data import video_table
from vidcls.engine.machine import home, show_messages
from vidcls.engine.prepare import copy_size, prepare_videos
from vidcls.engine.recipes import RECIPES
from vidcls.scoring import evaluate_videos, paired_interval
from vidcls.train import finetune


def prepared_table(
    data,               # Folder `split/class/video`
    out,                # Folder for `prepared.csv` and `prepared_videos.csv`
    work=None,          # Folder for copies and models; None: `home()/"prepared-table"`
    recipe:str="stick", # Name of the recipe
    epochs:int=40,      # Epochs of each training
    pairs:int=5,        # Seeds
    codecs=("h264", "mjpeg"), # Forms of the copy
    workers:int|None=None, # Processes that read clips
) -> pd.DataFrame: # data, seed, video, group, correct
    "Train on originals and on copies, seed by seed. Returns the table of the test videos."
    work, out, rows, videos = Path(work or home()/"prepared-table"), Path(out), [], []
    r = replace(RECIPES[recipe], name="pair", data=str(data), data_revision=None, epochs=epochs)
    spec = ClipSpec.from_checkpoint(r.checkpoint, r, r.checkpoint_revision)
    size = copy_size(spec.size, r.scale, spec.part)
    places = {"original": data} | {c: prepare_videos(data, work/c, size, c, workers=workers).folder for c in codecs}
    for seed in range(pairs):
        for name, place in places.items():
            done = finetune(replace(r, data=str(place), seed=seed), work/f"{name}-{seed}", resume=True, workers=workers)
            test = video_table(place).query("split == 'test'").sort_values("path")
            right = evaluate_videos(done.model_dir, test, progress=False).predictions.sort_values("path").correct
            rows.append(dict(data=name, seed=seed) | {k: done.metrics[k] for k in ("video_accuracy", "clip_accuracy", "seconds")})
            videos.append(pd.DataFrame(dict(data=name, seed=seed, video=[Path(p).stem for p in test.path], group=test.group.tolist(),
                                            correct=right.astype(int).tolist())))
            pd.DataFrame(rows).to_csv(out/"prepared.csv", index=False)
            pd.concat(videos).to_csv(out/"prepared_videos.csv", index=False)
    return pd.concat(videos)


def differences(
    videos:pd.DataFrame, # From `prepared_table`
) -> pd.DataFrame: # gain, low, high; a row per form of the copy
    "How much better a model from a copy is, with the 95 % interval over recordings."
    t = videos.pivot_table(index=["group", "video"], columns="data", values="correct") # Mean over the seeds
    found = {k: paired_interval(t.original, t[k], t.index.get_level_values("group")) for k in t if k != "original"}
    return pd.DataFrame(found, ["gain", "low", "high"]).T


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("data", type=Path, help="folder split/class/video")
    p.add_argument("--out", type=Path, default=Path("."), help="folder for both tables; default: this one")
    p.add_argument("--work", type=Path, help="folder for copies and models; default: prepared-table in VIDCLS_HOME")
    p.add_argument("--recipe", default="stick", help="name of the recipe; default: stick")
    p.add_argument("--epochs", type=int, default=40, help="epochs of each training; default: 40")
    p.add_argument("--pairs", type=int, default=5, help="number of seeds; default: 5")
    p.add_argument("--workers", type=int, help="worker processes that read clips; default: one per core, at most 8")
    a = p.parse_args()
    show_messages()
    print(differences(prepared_table(a.data, a.out, a.work, a.recipe, a.epochs, a.pairs, workers=a.workers)).to_string())
