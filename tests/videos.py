"Small videos and models for tests, and where the real ones are."
from pathlib import Path

import av, numpy as np, pytest

SHARED = Path(__file__).resolve().parents[2]/"shared"/"data"
REAL, ODD = SHARED/"UCF101_real6.tar.gz", SHARED/"odd"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the real UCF101 clips are not beside the checkout (../shared/data)")
needs_odd = pytest.mark.skipif(not ODD.exists(), reason="the odd video files are not beside the checkout (../shared/data/odd)")


def picture(i, h=48, w=64):
    "A frame that tells its own number by its grey level, with a bar that moves."
    a = np.full((h, w, 3), (i*4) % 200 + 20, np.uint8)
    a[:, (i*2) % w:(i*2) % w + 6] = 255
    return a


def write_video(path, frames=60, fps=25, codec="mpeg4", size=(64, 48), pts=None, bframes=0, gop=12, first=0, fmt="yuv420p", draw=picture, **options):
    "A video of pictures numbered from `first`; `pts` gives other time stamps in units of 1/fps."
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as c:
        s = c.add_stream(codec, rate=fps, options=options)
        s.width, s.height, s.pix_fmt = *size, fmt
        s.bit_rate = 4_000_000 # so that the grey levels survive
        s.codec_context.max_b_frames, s.codec_context.gop_size = bframes, gop
        for i in range(frames):
            f = av.VideoFrame.from_ndarray(draw(first + i, size[1], size[0]), format="rgb24")
            f.pts = i if pts is None else pts[i]
            c.mux(s.encode(f))
        c.mux(s.encode())
    return path


def write_long(path, seconds, piece=10, fps=25, **kwargs):
    "A long video, quickly: the packets of a short one, again and again, with new time stamps."
    short = write_video(path.with_name("piece.avi"), piece*fps, fps, **kwargs)
    with av.open(str(short)) as c:
        s = c.streams.video[0]
        packets = [bytes(p) for p in c.demux(s) if p.size]
        with av.open(str(path), "w") as out:
            o = out.add_stream_from_template(s)
            for i in range(seconds*fps):
                p = av.Packet(packets[i % len(packets)])
                p.stream, p.time_base, p.pts, p.dts = o, s.time_base, i, i
                p.is_keyframe = i % len(packets) == 0
                out.mux(p)
    short.unlink()
    return path


def write_dataset(root, classes=("Nod", "Wave"), per_split=None, **kwargs):
    "A data set in UCF101's layout; every video a group of its own."
    g = 0
    for split, n in (per_split or dict(train=3, val=1, test=2)).items():
        for label in classes:
            for _ in range(n):
                g += 1
                write_video(root/split/label/f"v_{label}_g{g:02}_c01.avi", **{"frames": 40, "first": g, **kwargs})
    return root


def tiny_config(**kwargs):
    "The smallest VideoMAE."
    from transformers import VideoMAEConfig
    return VideoMAEConfig(**(dict(image_size=32, patch_size=16, num_frames=8, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, decoder_hidden_size=24, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
        decoder_intermediate_size=32) | kwargs))


def write_checkpoint(folder, model, size=32):
    "A model, or only a config, with the processor beside it."
    from transformers import VideoMAEVideoProcessor
    model.save_pretrained(folder)
    VideoMAEVideoProcessor(size=dict(shortest_edge=size), crop_size=dict(height=size, width=size)).save_pretrained(folder)
    return folder


def write_model(folder, labels=("Nod", "Wave"), seconds=.8):
    "A tiny classifier with random weights, and what `predict` wants beside it."
    from transformers import VideoMAEForVideoClassification
    from vidcls.clips import ClipSpec
    names = dict(enumerate(labels))
    write_checkpoint(folder, VideoMAEForVideoClassification(tiny_config(id2label=names, label2id={v: k for k, v in names.items()})))
    ClipSpec(8, seconds, 32, "crop", (.5,)*3, (.5,)*3).save(folder)
    return folder
