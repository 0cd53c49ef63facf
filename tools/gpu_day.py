"""Everything that a GPU can show, in one command: `make gpu`, or one part of it: `make gpu PART=steps`.

Each part takes at most eight minutes on an H200 and writes its JSON file as soon as it has finished; a page shows all of
them. The videos are generated on the spot, but for nine short ones of real people that are part of the package. With
`--tiny` all parts run in a few minutes on a CPU, which shows that they work, and nothing else."""
import argparse, json, os, shutil, subprocess, sys, time, traceback
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib
matplotlib.use("Agg")
import numpy as np, pandas as pd, torch, transformers
from transformers import AutoModelForVideoClassification, TrainerCallback, VideoMAEConfig, VideoMAEVideoProcessor
from vidcls.bench import bench_files, loader_speed, race, step_rate
from vidcls.clips import ClipDataset, ClipSpec, guide_dataset
from vidcls.data import label_maps, sample_videos, video_table
from vidcls.engine.cache import frame_cache
from vidcls.engine.families import clip_shape, FAMILIES, family_of
from vidcls.engine.machine import atomic_write, doctor, get_device, half_precision, home, show_messages
from vidcls.engine.masked_run import step_losses
from vidcls.engine.page import picture_uri, write_page
from vidcls.engine.recipes import RECIPES
from vidcls.engine.trainer import ClipTrainer, fit_batch, matmul_speed, training_arguments
from vidcls.masked import MASKED, masked_trainer, patchify, reconstruct, tube_masks, unlabelled, unpatchify
from vidcls.synthetic.stick import make_stickucf
from vidcls.train import collate_fn
from vidcls.transforms import train_transform

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Size:
    "How much each part does."
    geometry: dict           # Changes of transformers' default config, for each family
    batch: int = 8           # The guide's
    most: int = 256          # The largest batch that is tried
    steps: int = 8           # Timed, for each row
    compiled: tuple = ("videomae",) # Families that are also compiled, which takes a minute each
    workers: tuple = (1, 2, 4, 8, 16)
    clips: int = 256         # That each loader reads
    rounds: int = 10         # Of the race of readers
    videos: int = 1024       # In the data set of real clips, which repeats a few files
    seconds: float = 60.     # Of each training
    small: tuple = (384, 12, 6, 192, 4, 3) # VideoMAE-small: width, layers and heads of encoder and decoder
    pixels: int = 112        # Of the clips in pre-training
    films: tuple = (300, 1, 20)  # Generated videos of each class for pre-training, in three splits
    learning: float = 400.   # Seconds of pre-training
    masked_batch: int = 128


PUBLISHED = dict( # The geometry of the published checkpoints; what is not named is transformers' default
    videomae={}, timesformer={}, vivit={}, vjepa2=dict(frames_per_clip=16), videoprism_vision_model={})
_LITTLE = dict(hidden_size=24, num_attention_heads=2)
_LESS = dict(image_size=32, num_frames=8, num_hidden_layers=1, intermediate_size=32, **_LITTLE)
TINY = Size(
    dict(videomae=_LESS, timesformer=_LESS, vivit=dict(_LESS, tubelet_size=[2, 16, 16]),
         vjepa2=dict(crop_size=32, frames_per_clip=8, num_hidden_layers=1, mlp_ratio=2, num_pooler_layers=1, **_LITTLE),
         videoprism_vision_model=dict(image_size=36, num_frames=8, num_spatial_layers=1, num_temporal_layers=1,
                                      num_auxiliary_layers=1, intermediate_size=32, **_LITTLE)),
    batch=2, most=4, steps=1, compiled=(), workers=(0, 1), clips=8, rounds=1, videos=18, seconds=2,
    small=(24, 1, 2, 24, 1, 2), pixels=32, films=(2, 1, 1), learning=3, masked_batch=8)
CONFIGS = dict(videomae=VideoMAEConfig, timesformer=transformers.TimesformerConfig, vivit=transformers.VivitConfig,
               vjepa2=transformers.VJEPA2Config, videoprism_vision_model=transformers.VideoPrismVisionConfig)


def configs(size):
    "Name of a family → its config."
    return {k: CONFIGS[k](num_labels=10, **size.geometry[k]) for k in FAMILIES}


# -- training steps ---------------------------------------------------------------------------------------------------

def largest_batch(config, size, half):
    "The largest power of two that fits into the memory without computing activations again."
    frames, side = clip_shape(config)
    spec = ClipSpec(frames, size=side, input_key=family_of(config).input_key)
    net = AutoModelForVideoClassification.from_config(config).to(get_device())
    n, again = fit_batch(net, spec, size.most, half)
    return max(1, n//2) if again else n


def one_rate(row, config, batch, size, dtype, **how):
    "A row of the table: speed, share of a matrix product of the same precision, memory; or why there is none."
    device = get_device()
    if cuda := device == "cuda": torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats()
    try: rate, flops = step_rate(config, batch, size.steps, device, dtype, **how)
    except torch.OutOfMemoryError: return row | {"batch": batch, "note": "does not fit into the memory"}
    return row | {"batch": batch, "clips per second": rate, "ms per step": 1000*batch/rate, "TFLOP/s": rate*flops/1e12,
                  "MFU": rate*flops/matmul_speed(device, dtype),
                  "peak GiB": torch.cuda.max_memory_allocated()/2**30 if cuda else None}


def steps(size, folder):
    "Time training steps of all families: the guide's settings, ours, larger batches, compiled, and with checkpointing."
    half = dict(bf16=torch.bfloat16, fp16=torch.half).get(half_precision(), torch.float32)
    rows = []
    for name,config in configs(size).items():
        n = largest_batch(config, size, half_precision())
        settings = {"as in the guide": (size.batch, torch.float32, dict(attention="eager", fused=False)), "ours": (size.batch, half, {}),
                    "ours, largest batch": (n, half, {}), "ours, compiled": (n, half, dict(compiled=True)),
                    "ours, checkpointing": (n, half, dict(checkpointing=True))}
        if name not in size.compiled: del settings["ours, compiled"]
        for setting,(batch, dtype, how) in settings.items():
            rows.append(one_rate({"family": FAMILIES[name].name, "setting": setting}, config, batch, size, dtype, **how))
            print(json.dumps(rows[-1]), flush=True)
    t = pd.DataFrame(rows)
    first = t[t.setting == "as in the guide"].set_index("family")["clips per second"]
    return {"training steps": t.assign(**{"× the guide": t["clips per second"]/t.family.map(first)})}


# -- input ------------------------------------------------------------------------------------------------------------

def repeated(paths, n):
    "A table of training videos that repeats these files."
    return pd.DataFrame([dict(path=str(paths[i % len(paths)]), label="any", split="train") for i in range(n)])


def nvdec(path, spec):
    "Frames per second that torchcodec decodes on the GPU; or why it does not."
    if get_device() != "cuda": return dict(frames_per_second=None, note="not on a CUDA device")
    try:
        from torchcodec.decoders import VideoDecoder
        decoder, start, n = VideoDecoder(str(path), device="cuda"), time.perf_counter(), 0
        for frame in decoder: n += 1
        torch.cuda.synchronize()
    except Exception as e: return dict(frames_per_second=None, note=f"{type(e).__name__}: {str(e).splitlines()[0]}")
    return dict(frames_per_second=n/(time.perf_counter() - start), note="")


def reading(size, folder):
    "How fast clips arrive: each reader for one view, our loader with more and more processes, and the GPU's own decoder."
    spec, tables = ClipSpec(), {}
    files = bench_files(folder/"files", 8 if size.rounds > 1 else 2.2)
    for name,path in files.items():
        few = 5 if path.suffix == ".mp4" else 1
        tables[f"one view of {name}"] = race(path, spec, rounds=max(1, size.rounds//few)).reset_index()
    rows = []
    for name,path in files.items():
        data = ClipDataset(repeated([path], 4*size.clips), spec, {"any": 0}, transform=train_transform(spec))
        n = size.clips//4 if path.suffix == ".mp4" else size.clips
        rates = {f"{w} processes": loader_speed(data, w, n) for w in size.workers if w <= (os.cpu_count() or 1)}
        rows.append({"file": name} | rates)
        print(json.dumps(rows[-1]), flush=True)
    gpu = [{"file": name} | nvdec(path, spec) for name,path in files.items()]
    return tables | {"clips per second from our loader": pd.DataFrame(rows), "decoded on the GPU (NVDEC)": pd.DataFrame(gpu)}


# -- training on real clips -------------------------------------------------------------------------------------------

def real_clips(folder, n):
    "A data set in UCF101's layout that repeats the package's videos of real people."
    table = sample_videos()
    for i in range(n):
        row = table.iloc[i % len(table)]
        # PyTorchVideo takes only .mp4 and .avi; FFmpeg does not mind the name of a Matroska file
        to = folder/"train"/row.label.replace(" ", "_")/f"v_{i:05}.mp4"
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists(): shutil.copyfile(row.path, to)
    return folder


class StopAfter(TrainerCallback):
    "Ends a training when its time is up."
    def __init__(self, seconds): self.seconds, self.start = seconds, None
    def on_train_begin(self, args, state, control, **kwargs): self.start = time.perf_counter()
    def on_step_end(self, args, state, control, **kwargs):
        if time.perf_counter() - self.start > self.seconds: control.should_training_stop = True


def guide_rate(root, config, spec, size):
    "Clips per second of the guide: PyTorchVideo's reader, float32, plain attention, batches of eight, `Trainer`'s two processes."
    from torch.utils.data import DataLoader
    device, net = get_device(), AutoModelForVideoClassification.from_config(config, attn_implementation="eager")
    net, start, n = net.to(device).train(), None, 0
    optimizer = torch.optim.AdamW(net.parameters(), 5e-5, fused=False)
    loader = DataLoader(guide_dataset(root/"train", spec), batch_size=size.batch, num_workers=2)
    for i,b in enumerate(loader):
        x = b["video"].permute(0, 2, 1, 3, 4).to(device)
        net(pixel_values=x, labels=b["label"].to(device)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        n += len(x)
        if i == 2: # Three batches to warm up
            if device == "cuda": torch.cuda.synchronize()
            start, n = time.perf_counter(), 0
        if start and time.perf_counter() - start > size.seconds: break
    if device == "cuda": torch.cuda.synchronize()
    return n/(time.perf_counter() - start)


def our_rate(table, config, spec, size, folder, batch, workers):
    "Clips per second, share of waiting and MFU of `ClipTrainer`, without its first line."
    recipe = replace(RECIPES["ucf101"], epochs=1000, batch_size=batch)
    net = AutoModelForVideoClassification.from_config(config)
    data = ClipDataset(table, spec, label_maps(table)[0], transform=train_transform(spec))
    args = training_arguments(recipe, folder, len(data), workers, eval_strategy="no", save_strategy="no",
                              load_best_model_at_end=False, logging_steps=1 if size.steps == 1 else 10, disable_tqdm=True)
    trainer = ClipTrainer(net, args, train_dataset=data, data_collator=collate_fn, spec=spec, callbacks=[StopAfter(size.seconds)])
    trainer.train()
    log = pd.DataFrame([h for h in trainer.state.log_history if "clips_per_second" in h])
    log = log.iloc[1:] if len(log) > 1 else log
    return dict(log[["clips_per_second", "data_wait", "mfu"]].median())


def training(size, folder):
    "Fine-tune VideoMAE-base with random weights on real clips, from file to weights: the guide's settings, and ours."
    config, root = configs(size)["videomae"], real_clips(folder/"real", size.videos)
    frames, side = clip_shape(config)
    spec, table = ClipSpec(frames, size=side), video_table(root)
    config.label2id, config.id2label = label_maps(table)
    rows = [{"setting": "as in the guide", "batch": size.batch, "clips_per_second": guide_rate(root, config, spec, size)}]
    large = min(64, largest_batch(config, size, half_precision()))
    for workers in sorted({min(8, os.cpu_count() or 1), os.cpu_count() or 1}):
        for batch in sorted({size.batch, large}):
            rows.append({"setting": f"ours, {workers} processes", "batch": batch}
                        | our_rate(table, config, spec, size, folder/"trainer", batch, workers))
            print(json.dumps(rows[-1]), flush=True)
    t = pd.DataFrame(rows)
    return {"fine-tuning on real clips": t.assign(**{"× the guide": t.clips_per_second/t.clips_per_second[0]})}


# -- masked pre-training ----------------------------------------------------------------------------------------------

def small_checkpoint(folder, size):
    "A folder with the config and the processor of a VideoMAE of this size, without weights."
    width, layers, heads, width2, layers2, heads2 = size.small
    VideoMAEConfig(image_size=size.pixels, num_frames=16, hidden_size=width, num_hidden_layers=layers,
                   num_attention_heads=heads, intermediate_size=4*width, decoder_hidden_size=width2,
                   decoder_num_hidden_layers=layers2, decoder_num_attention_heads=heads2,
                   decoder_intermediate_size=4*width2).save_pretrained(folder)
    side = dict(height=size.pixels, width=size.pixels)
    VideoMAEVideoProcessor(size=dict(shortest_edge=size.pixels), crop_size=side).save_pretrained(folder)
    return folder


def pictures(net, spec, table, ratio, n=3):
    "Unseen clips, what the model saw of them, and what it made of it: rows of four frames."
    data = ClipDataset(table, spec, {k: 0 for k in table.label.unique()})
    clips = torch.stack([data[i]["pixel_values"] for i in np.linspace(0, len(data) - 1, n).astype(int)])
    mask = tube_masks(net.config, n, ratio, torch.Generator().manual_seed(0))
    net = net.cpu()
    seen = patchify(clips, net.config)
    seen[mask] = 127
    strips = []
    for what in (clips, unpatchify(seen, net.config), reconstruct(net, clips, mask, spec)):
        strips.append([np.concatenate([c[t].permute(1, 2, 0).numpy() for t in (0, 5, 10, 15)], 1) for c in what])
    return np.concatenate([strip for trio in zip(*strips) for strip in trio], 0)


def pretraining(size, folder):
    "Pre-train a VideoMAE-small on generated clips, and show what it reconstructs of clips that it has not seen."
    start = time.perf_counter()
    root = make_stickucf(folder/"films", seed=7, per_class=size.films, progress=False)
    made = time.perf_counter() - start
    recipe = replace(MASKED, name="small", data=str(root), checkpoint=str(small_checkpoint(folder/"small", size)),
                     checkpoint_revision=None, from_scratch=True, epochs=10_000, batch_size=size.masked_batch, learning_rate=1e-3)
    with frame_cache("ram") as frames:
        trainer = masked_trainer(recipe, unlabelled(root), folder/"masked", cache=frames, save_strategy="no", disable_tqdm=True,
                                 lr_scheduler_type="constant_with_warmup", warmup_steps=200 if size.steps > 1 else 1)
        trainer.add_callback(StopAfter(size.learning))
        trainer.train()
    losses = pd.DataFrame(step_losses(trainer.state.log_history), columns=["step", "loss"])
    every = max(1, len(losses)//20)
    curve = losses.groupby(losses.index//every).mean().astype({"step": int})
    log = [h for h in trainer.state.log_history if "clips_per_second" in h]
    facts = pd.DataFrame([{"videos": len(trainer.train_dataset), "seconds to generate them": made, "steps": len(losses),
                           "clips": len(losses)*size.masked_batch, "loss of the first steps": losses.loss.head(5).mean(),
                           "loss of the last steps": losses.loss.tail(20).mean()}
                          | {k: log[-1][k] for k in ("clips_per_second", "data_wait", "mfu") if log}])
    test = video_table(root).query("split == 'test'")
    picture = pictures(trainer.model, trainer.spec, test, trainer.mask_ratio)
    return {"masked pre-training": facts, "loss": curve, "picture": picture_uri(picture, picture.shape[1])}


# -- tests ------------------------------------------------------------------------------------------------------------

def tests(size, folder):
    "Run the tests that need a GPU."
    p = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cuda", "-rA", str(ROOT/"tests"/"test_cuda.py")],
                       capture_output=True, text=True, cwd=ROOT)
    rows = [dict(zip(("outcome", "test"), line.split(" ", 1))) for line in p.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR", "SKIPPED"))]
    print(p.stdout[-3000:], flush=True)
    return {"tests that need a GPU": pd.DataFrame(rows or [dict(outcome="none ran", test=p.stdout[-300:] + p.stderr[-300:])])}


PARTS = dict(steps=steps, reading=reading, training=training, pretraining=pretraining, tests=tests)


# -- the page ---------------------------------------------------------------------------------------------------------

def run_part(name, size, out):
    "Run one part and write its JSON file; what went wrong is written too. Returns whether all went well."
    start, result, error = time.perf_counter(), {}, None
    try: result = PARTS[name](size, out/"work")
    except Exception: error = traceback.format_exc()
    tables = {k: v if isinstance(v, str) else json.loads(v.to_json(orient="records")) for k,v in result.items()}
    report = doctor()
    with atomic_write(out/f"{name}.json") as tmp:
        tmp.write_text(json.dumps(dict(part=name, tiny=size is TINY, seconds=time.perf_counter() - start, error=error,
                                       machine={**report.machine, **report.versions}, tables=tables), indent=1, default=str))
    print(f"{name}: {'failed' if error else 'done'} after {time.perf_counter() - start:.0f} s", flush=True)
    if error: print(error, file=sys.stderr, flush=True)
    return not error


def write_day(out):
    "One page of all JSON files in a folder."
    import html
    body = ""
    for name in PARTS:
        if not (out/f"{name}.json").exists(): continue
        part = json.loads((out/f"{name}.json").read_text())
        body += f"<h2>{name}</h2><p>{part['seconds']:.0f} s{' (tiny: its numbers mean nothing)' if part['tiny'] else ''}</p>"
        if part["error"]: body += f"<pre>{html.escape(part['error'])}</pre>"
        for title,rows in part["tables"].items():
            if isinstance(rows, str): body += f'<p><img alt="Each trio of rows: the clip, what the model saw, what it made of it" src="{rows}"></p>'
            else: body += f"<h3>{html.escape(title)}</h3><div>{pd.DataFrame(rows).to_html(index=False, float_format='{:.3g}'.format, na_rep='')}</div>"
        machine = part["machine"]
    rows = pd.Series(machine, dtype=object).to_frame("").to_html(header=False)
    return write_page(out/"gpu.html", "What this machine does in a GPU day", f"<div>{rows}</div>{body}")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all of them")
    p.add_argument("--out", type=Path, default=home()/"gpu", help="folder for the results; default: gpu in VIDCLS_HOME")
    p.add_argument("--tiny", action="store_true", help="as short as possible, also without a GPU, only to see that every part works")
    a = p.parse_args()
    if bad := set(a.parts) - set(PARTS): sys.exit(f"There is no part {min(bad)!r}: choose from {', '.join(PARTS)}.")
    show_messages()
    if get_device() != "cuda" and not a.tiny: sys.exit("This machine has no CUDA device: try --tiny, which needs none.")
    a.out.mkdir(parents=True, exist_ok=True)
    well = [run_part(name, TINY if a.tiny else Size(PUBLISHED), a.out) for name in a.parts or PARTS]
    print(write_day(a.out))
    sys.exit(not all(well))
