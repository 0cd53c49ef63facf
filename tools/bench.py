"""Measure the speed of the input pipelines, the loaders and the training step on this machine: `make bench`.

It prints the tables of chapter 13, measured with more rounds, and writes `bench.json` and `bench.png`."""
import argparse, json, os, shutil, subprocess, sys, time
from importlib import util
from pathlib import Path

import av, matplotlib.pyplot as plt, pandas as pd
from transformers import VideoMAEConfig
from vidcls.backbones import load_backbone
from vidcls.bench import bench_files, Elsewhere, feature_race, loader_race, plot_races, race, step_race
from vidcls.clips import ClipSpec
from vidcls.engine.video import decoded_frames, probe_video
from vidcls.engine.windows import window_clips
from vidcls.data import data_root, video_table
from vidcls.engine.manifest import make_manifest, write_manifest
from vidcls.engine.machine import doctor, get_device, home, atomic_write, show_messages
from vidcls.engine.recipes import Recipe, RECIPES
from vidcls.engine.record import checkpoint_path
from vidcls.synthetic.long import make_films
from vidcls.train import tutorial_model


def race_files(
    folder,         # Folder for the files
    spec:ClipSpec,  # What a clip is
    rounds:int,     # Rounds of each race
    seconds:float=8, # Length of the files
    test=(5, 3),    # Views of a test: clips in time, crops
) -> dict: # Name -> table
    "Compare the readers on each of the files, for a training view and for the views of a test."
    races = {}
    for name,path in bench_files(folder, seconds).items():
        few = 10 if probe_video(path).height > 720 else 1 # The guide needs seconds for one view of these files
        for what,n,r in (("training view", (), rounds), (f"{test[0]} × {test[1]} views", test, rounds//4)):
            races[f"{name}: {what}"] = race(path, spec, *n, rounds=max(1, r//few))
            print(f"\n{name}: {what}\n{races[f'{name}: {what}'].round(2).to_string()}", flush=True)
    return races


def race_features(
    root,       # Data set folder
    clips:int,  # Videos that are read
    rounds:int, # Rounds of each race
) -> dict: # Name -> table with one row per round
    "How close extracting features comes to the best possible rate: here, and beside a stand-in for a device of its own."
    backbone, paths, workers = load_backbone("videomae-stick"), list(video_table(root).path[:clips]), min(8, os.cpu_count())
    if get_device() != "cpu": return {"on this device": feature_race(backbone, paths, workers, False, rounds)}
    shared = feature_race(backbone, paths, workers, True, rounds)
    waiting = load_backbone(Elsewhere(1/float(shared["reading alone"].median())), spec=backbone.spec)
    return {"on the same cores": shared, "with a device of its own": feature_race(waiting, paths, workers, False, rounds)}


def repeat_film(
    film,       # MP4 file
    path,       # File to write
    times:int,  # How often
) -> Path: # The file
    "A long film, quickly: the packets of a short one, again and again."
    with av.open(str(film)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.size]
        length = max(p.pts + p.duration for p in packets)
        data = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in packets]
        base = source.streams.video[0].time_base
        for k in range(times):
            for piece,pts,dts,duration,key in data:
                p = av.Packet(piece)
                p.stream, p.time_base, p.pts, p.dts, p.duration = stream, base, pts + k*length, dts + k*length, duration
                p.is_keyframe = key
                out.mux(p)
    return Path(path)


WATCH = """
import sys, time
from vidcls.when import timeline
start = time.perf_counter()
t = timeline(sys.argv[1], sys.argv[2], progress=False)
peak = next((l.split()[1] for l in open("/proc/self/status") if l.startswith("VmHWM")), 0) if sys.platform == "linux" else 0
print(len(t.starts), time.perf_counter() - start, int(peak)/1024)
"""


def race_timeline(
    folder,      # Folder for the films
    model,       # Model folder
    minutes:int, # Length of the film
) -> pd.DataFrame: # One row per step
    "What a timeline of a long film costs, step by step, and the memory of the process that makes it."
    film = make_films(Path(folder)/"film", (0, 0, 1), seconds=60)/"test/long/v_long_g01_c60.mp4"
    long = repeat_film(film, Path(folder)/f"{minutes}.mp4", minutes)
    def seconds(items):
        start = time.perf_counter()
        for _ in items: pass
        return time.perf_counter() - start
    took = {"decode every frame": seconds(decoded_frames(long)), "cut every window": seconds(window_clips(long, ClipSpec.load(model)))}
    out = subprocess.run([sys.executable, "-c", WATCH, model, long], capture_output=True, text=True, check=True).stdout.split()
    took["timeline"] = float(out[1])
    table = pd.DataFrame({"seconds": took, "times real time": {k: 60*minutes/s for k,s in took.items()}})
    return table.assign(**{"peak MB": pd.Series({"timeline": float(out[2])})})


SCALE = """
import json, sys, time
import numpy as np
from vidcls.engine.costs import CoreClock, Fleet, measure_costs, measure_ray, predict_time
from vidcls.engine.manifest import read_manifest
from vidcls.engine.results import read_results, Results
from vidcls.engine.shards import make_scorer, run_shard, score_job
how, model, manifest, out, processes = sys.argv[1:]
job, identity = score_job(model, device="cpu")
rows, n, address = read_manifest(manifest).to_dict("records"), int(processes), None
costs = measure_costs(model, rows[::max(1, len(rows)//24)])
if how.startswith("Ray"): from vidcls.engine.cluster import run_ray
if how == "Ray, two nodes": # Ray's own costs are measured here only, because that takes three more runs
    from ray.cluster_utils import Cluster
    def cluster():
        c = Cluster(initialize_head=True, head_node_args=dict(num_cpus=n + 1, object_store_memory=2**27))
        c.add_node(num_cpus=n + 1, object_store_memory=2**27)
        return c
    c = cluster()
    costs = measure_ray(costs, model, n, c.address)
    c.shutdown()
    c = cluster() # A new one, as cold as the first was
    address = c.address
start = time.time()
with CoreClock() as clock:
    if how == "a plain loop":
        answer = make_scorer(job)
        with Results(out, identity) as kept:
            for row in rows: kept.add(row, answer(row))
    elif how.startswith("Ray"): run_ray(job, identity, manifest, out, address, n, block_rows=max(1, len(rows)//(16*n)), progress=False)
    else: run_shard(job, identity, manifest, out, processes=n, progress=False)
end, at = time.time(), np.sort(read_results(out)[1]["at"])/1e9
first, last = at[len(at)//10], at[-1] # The first tenth counts as start-up: by then all processes work
videos, block = len(at) - len(at)//10 - 1, max(1, len(rows)//(16*n)) if address or how == "Ray" else len(rows)
ours = how not in ("Ray", "a plain loop") # There is nothing to predict those from: no costs of Ray, no process that starts
p = predict_time(costs, Fleet(n, processes=n, block_rows=block), len(rows))
print(json.dumps({"videos per second": videos/(last - first), "core-seconds per video": clock.between(first, last)/videos,
    "start-up, seconds": first - start, "core-seconds": clock.between(), "seconds": end - start,
    "predicted core-seconds": p.seconds*n if ours else None, "predicted seconds": p.seconds if ours else None}))
"""


def race_scale(
    folder,       # Folder for manifest and results
    root,         # Data set folder
    model,        # Model folder
    videos:int,   # How many to score
    rounds:int,   # Every way once in each
) -> pd.DataFrame: # One row per way
    "The same videos in a plain loop, in shards and on Ray, in turns: the work without the start-up, and what `predict_time` said."
    folder, n, rows = Path(folder), min(2, os.cpu_count()), []
    folder.mkdir(parents=True, exist_ok=True)
    table = video_table(root).drop(columns="clip")
    write_manifest(make_manifest(table, folder/"all.parquet", progress=False).sample(videos, random_state=0), folder/"m.parquet")
    ways = {"a plain loop": 1, "one watched process": 1, "shards": n} | ({"Ray": n, "Ray, two nodes": n} if util.find_spec("ray") else {})
    for _ in range(rounds):
        for how,processes in ways.items():
            shutil.rmtree(folder/"r", ignore_errors=True)
            args = [sys.executable, "-c", SCALE, how, str(model), str(folder/"m.parquet"), str(folder/"r"), str(processes)]
            out = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout
            rows.append(dict(way=how) | json.loads(out.splitlines()[-1]))
    t = pd.DataFrame(rows).astype({k: float for k in rows[0] if k != "way"}).groupby("way", sort=False).median()
    t["error of the prediction"] = t["predicted core-seconds"]/t["core-seconds"] - 1
    return t


def time_starts(
    model,      # Model folder
    video,      # Video file
    rounds:int, # Every command runs once per round
) -> pd.DataFrame: # One row per command: seconds, and seconds of processor time
    "How long `vidcls predict` takes in a new shell, and how much of that its libraries take to load."
    ways = {"Python": ("-c", "pass"), "import torch": ("-c", "import torch"),
            "import a video model": ("-c", "from transformers import VideoMAEForVideoClassification"),
            "vidcls predict": ("-m", "vidcls", "predict", model, video)}
    rows = []
    for _ in range(rounds):
        for way,command in ways.items():
            before, start = os.times(), time.perf_counter()
            subprocess.run([sys.executable, *map(str, command)], check=True, capture_output=True)
            took, after = time.perf_counter() - start, os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            rows.append({"way": way, "seconds": took, "core-seconds": used})
    return pd.DataFrame(rows).groupby("way", sort=False).median()


def draw(
    races:dict, # Name -> table
    file,       # PNG file to write
):
    "Draw all races, in milliseconds per view."
    fig, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    plot_races(races, ax)
    with atomic_write(file) as tmp: fig.savefig(tmp, format="png", dpi=120)
    plt.close(fig)


def bench(
    folder,                         # Folder for the files and the results
    rounds:int=20,                  # Rounds of each comparison of readers
    seconds:float=8,                # Length of the files
    test=(5, 3),                    # Views of a test: clips in time, crops
    clips:int=64,                   # Clips that each loader reads
    steps:int=6,                    # Training steps to time
    minutes:int=60,                 # Length of the film that is watched
    scored:int=400,                 # Videos that are scored in a loop, in shards and on Ray
    recipe:Recipe=RECIPES["stick"], # Recipe whose videos the loaders read
) -> dict: # The machine, and every table as a dict
    "Run all comparisons on this machine, and write `bench.json` and `bench.png`."
    spec, folder = ClipSpec(), Path(folder)
    races = race_files(folder/"files", spec, rounds, seconds, test)
    loaders = loader_race(data_root(recipe), spec, num_clips=clips)
    print(f"\nclips per second, by workers\n{loaders.round(1).to_string()}", flush=True)
    features = race_features(data_root(recipe), 4*clips, 3 if steps > 1 else 1)
    for name,t in features.items(): print(f"\nfeatures, {name}: videos per second\n{t.round(2).to_string()}", flush=True)
    step = step_race(VideoMAEConfig.from_pretrained(checkpoint_path("videomae-stick")), 16, steps)
    print(f"\ntraining step\n{step.round(3).to_string()}")
    long = race_timeline(folder/"long", tutorial_model(recipe), minutes)
    print(f"\na timeline of {minutes} minutes\n{long.round(1).to_string()}", flush=True)
    scale = race_scale(folder/"scale", data_root(recipe), tutorial_model(recipe), scored, 3 if steps > 1 else 1)
    print(f"\n{scored} videos, divided\n{scale.round(3).T.to_string()}", flush=True)
    starts = time_starts(tutorial_model(recipe), next((Path(folder)/"files").glob("*.avi")), 5 if steps > 1 else 1)
    print(f"\none video in a new shell\n{starts.round(2).to_string()}", flush=True)
    report = doctor()
    out = dict(machine={**report.machine, **report.versions}, races={k: t.to_dict() for k,t in races.items()},
               loaders=loaders.to_dict(), features={k: t.to_dict() for k,t in features.items()}, steps=step.to_dict(),
               timeline=long.to_dict(), scale=scale.to_dict(), starts=starts.to_dict())
    with atomic_write(folder/"bench.json") as tmp: tmp.write_text(json.dumps(out, indent=1))
    draw(races, folder/"bench.png")
    return out


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--out", type=Path, default=home()/"bench",
                   help="folder for files and results; default: bench in VIDCLS_HOME")
    p.add_argument("--tiny", action="store_true", help="as short as possible, only to see that every part works")
    a = p.parse_args()
    show_messages()
    tiny = dict(rounds=1, seconds=2.2, test=(1, 1), clips=8, steps=1, minutes=1, scored=8, recipe=RECIPES["smoke"])
    bench(a.out, **(tiny if a.tiny else {}))
