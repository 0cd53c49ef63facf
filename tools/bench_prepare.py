"""Measure what copies for training save: processor time per view, bytes and PSNR, by form of the copy.

Every video is copied in each form. Original and copies are then read in turns, with the same random training views, in
one thread; the figures are medians over views and rounds. Prints a table."""
import argparse, tempfile, time
from dataclasses import asdict
from pathlib import Path

import numpy as np, pandas as pd, torch

from vidcls.clips import ClipSpec, random_view, read_clip
from vidcls.engine.prepare import CopySettings, prepare_videos
from vidcls.engine.recipes import RECIPES

FORMS = [*(CopySettings(every=n) for n in (1, 4, 8, 16)), CopySettings(codec="mjpeg"), CopySettings(256)]


def milliseconds(path, view, spec):
    "Processor time of a view, and the view."
    start = time.process_time()
    clip = read_clip(path, view, spec)
    return 1000*(time.process_time() - start), clip.numpy().astype(np.float32)


def copies(files, folder):
    "Form → the copies of the files, in their order, and what copying took per original."
    data = folder/"list.csv"
    pd.DataFrame(dict(path=list(map(str, files)), label="any", split="train")).to_csv(data, index=False)
    for i, form in enumerate(FORMS):
        start = time.process_time()
        done = prepare_videos(data, folder/str(i), **asdict(form), workers=0, progress=False)
        if done.problems: raise SystemExit(done.problems[0])
        yield form, [done.folder/c for c in done.videos["copy"]], (time.process_time() - start)/len(files)


def bench(
    files,        # Videos
    views:int=3,  # Per video and round
    rounds:int=3, # Of everything
) -> pd.DataFrame: # One row per form
    "Race copies against originals."
    from vidcls.engine.video import probe_video
    torch.set_num_threads(1)
    spec, rng, rows = ClipSpec(), np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as d:
        made = list(copies([f.absolute() for f in files], Path(d)))
        for k, f in enumerate(files):
            for view in [random_view(probe_video(f), spec, rng, RECIPES["ucf101"].scale) for _ in range(views)]*rounds:
                ms, seen = milliseconds(f, view, spec)
                for i, (_, paths, _) in enumerate(made):
                    own, clip = milliseconds(paths[k], view, spec)
                    error = float(((seen - clip)**2).mean())
                    rows.append(dict(form=i, file=k, ms=ms, own=own, error=error, size=f.stat().st_size, bytes=paths[k].stat().st_size))
    return summary(pd.DataFrame(rows), made)


def summary(t, made):
    "One row per form."
    out = []
    for i, g in t.groupby("form"):
        per = g.groupby("file")[["ms", "own", "error", "size", "bytes"]].median()
        ratio = per.ms/per.own
        out.append({**asdict(made[i][0]), "original ms": per.ms.median(), "copy ms": per.own.median(), "times as fast": ratio.median(), "least": ratio.min(), "most": ratio.max(),
                    "bytes": per.bytes.sum()/per["size"].sum(), "PSNR": 10*np.log10(255**2/per.error.median()), "made in views": made[i][2]*1000/per.ms.mean()})
    return pd.DataFrame(out)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("files", nargs="+", type=Path, help="videos")
    p.add_argument("--views", type=int, default=3, help="views per video and round; default: 3")
    p.add_argument("--rounds", type=int, default=3, help="rounds; default: 3")
    a = p.parse_args()
    print(bench(a.files, a.views, a.rounds).round(3).to_string(index=False))
