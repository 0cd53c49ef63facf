"""Make a table that compares training on original videos with training on a copy of them, in pairs with the same seed.

Each pair trains by the same recipe from the same checkpoint, once on the folder `split/class/video` and once on its
copy. The table has a line per training, and the script continues where it stopped. It prints the mean difference of the
accuracies over the pairs, with its standard error."""
import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np, pandas as pd

from vidcls.clips import ClipSpec
from vidcls.engine.machine import home, show_messages
from vidcls.engine.prepare import copy_size, prepare_videos
from vidcls.engine.recipes import RECIPES
from vidcls.train import finetune


def prepared_table(
    data,               # Folder `split/class/video`
    out,                # File for the table
    work=None,          # Folder for copies and models; None: `home()/"prepared-table"`
    recipe:str="stick", # Name of the recipe
    epochs:int=40,      # Epochs of each training
    pairs:int=5,        # Seeds
    codecs=("h264", "mjpeg"), # Forms of the copy
    workers:int|None=None, # Processes that read clips
) -> pd.DataFrame: # data, seed, video_accuracy, clip_accuracy, eval_loss, seconds
    "Train on originals and on copies, seed by seed."
    work, rows = Path(work or home()/"prepared-table"), []
    r = replace(RECIPES[recipe], name="pair", data=str(data), data_revision=None, epochs=epochs)
    spec = ClipSpec.from_checkpoint(r.checkpoint, r, r.checkpoint_revision)
    size = copy_size(spec.size, r.scale, spec.part)
    places = {"original": data} | {c: prepare_videos(data, work/c, size, c, workers=workers).folder for c in codecs}
    for seed in range(pairs):
        for name, place in places.items():
            done = finetune(replace(r, data=str(place), seed=seed), work/f"{name}-{seed}", resume=True, workers=workers)
            loss = [h["eval_loss"] for h in done.history if "eval_loss" in h][-1]
            m = done.metrics
            rows.append(dict(data=name, seed=seed, video_accuracy=m["video_accuracy"], clip_accuracy=m["clip_accuracy"], eval_loss=loss, seconds=m["seconds"]))
            pd.DataFrame(rows).to_csv(out, index=False)
    return pd.DataFrame(rows)


def differences(table):
    "Copy minus original over the pairs: mean and standard error, one row per form of the copy."
    t = table.pivot(index="seed", columns="data", values="video_accuracy")
    d = t.drop(columns="original").sub(t.original, axis=0)
    return pd.DataFrame(dict(difference=d.mean(), standard_error=d.std()/np.sqrt(len(d)), pairs=len(d)))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("data", type=Path, help="folder split/class/video")
    p.add_argument("--out", type=Path, default=Path("prepared.csv"), help="file for the table; default: prepared.csv")
    p.add_argument("--work", type=Path, help="folder for copies and models; default: prepared-table in VIDCLS_HOME")
    p.add_argument("--recipe", default="stick", help="name of the recipe; default: stick")
    p.add_argument("--epochs", type=int, default=40, help="epochs of each training; default: 40")
    p.add_argument("--pairs", type=int, default=5, help="number of seeds; default: 5")
    p.add_argument("--workers", type=int, help="worker processes that read clips; default: one per core, at most 8")
    a = p.parse_args()
    show_messages()
    print(differences(prepared_table(a.data, a.out, a.work, a.recipe, a.epochs, a.pairs, workers=a.workers)).to_string())
