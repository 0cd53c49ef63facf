"""Make `real.csv`, the table next to `videomae-stick` that compares three starts of fine-tuning on real videos.

The videos are not part of the package, so name a folder `split/class/video.avi`. The table that ships was made with six
classes of UCF101 (Archery, BasketballDunk, Diving, PlayingPiano, PlayingViolin, Surfing; 60 training and 30 test
clips), before pre-training had the positional start, so the script would not give the same numbers again. It continues
where it stopped."""
import argparse, shutil
from dataclasses import replace
from pathlib import Path

from vidcls.masked import MASKED, pretrain, transfer
from vidcls.engine.machine import home, show_messages
from vidcls.engine.recipes import RECIPES


def real_table(
    data,                  # Folder `split/class/video`
    out,                   # File for the table
    work=None,             # Folder for intermediate results; None: `home()/"real"`
    epochs:int=40,         # Epochs of each fine-tuning
    masked_epochs:int=200, # Epochs of the masked pre-training on the same clips
    workers:int|None=None, # Worker processes that read clips
) -> Path: # `out`
    "Fine-tune from random weights, from masked pre-training on the same training clips, and from `videomae-stick`."
    out, work = Path(out), Path(work or home()/"real")
    real = replace(RECIPES["stick"], name="real six", data=str(data), epochs=epochs)
    masked = replace(MASKED, data=real.data, per_class=None, epochs=masked_epochs)
    own = pretrain(masked, work/"own", resume=True, workers=workers, overwrite=True)
    starts = {"random weights": None, f"masked on these {own.metrics['videos']} clips": own.model_dir,
              "videomae-stick": "videomae-stick"}
    transfer(starts, real, work/"table", [(1., 0)], workers=workers)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(work/"table"/"transfer.csv", out)
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("data", type=Path, help="folder split/class/video")
    p.add_argument("--out", type=Path, default=Path("real.csv"), help="file for the table; default: real.csv")
    p.add_argument("--work", type=Path, help="folder for intermediate results; default: real in VIDCLS_HOME")
    p.add_argument("--epochs", type=int, default=40, help="epochs of each fine-tuning; default: 40")
    p.add_argument("--masked-epochs", type=int, default=200, help="epochs of the masked pre-training; default: 200")
    p.add_argument("--workers", type=int, help="worker processes that read clips; default: one per core, at most 8")
    a = p.parse_args()
    show_messages()
    print(real_table(a.data, a.out, a.work, a.epochs, a.masked_epochs, a.workers))
