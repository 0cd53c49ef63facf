"Small videos and models for tests, and where the real ones are."
import os, struct
from fractions import Fraction
from pathlib import Path

import av, numpy as np, pytest, torch

from vidcls.synthetic import stick

SHARED = Path(__file__).resolve().parents[2]/"shared"/"data"
REAL, ODD = SHARED/"UCF101_real6.tar.gz", SHARED/"odd"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the real UCF101 clips are not beside the checkout (../shared/data)")
variant = pytest.mark.skipif(not os.environ.get("ALL"), reason="repeats a test with other settings: `make test-slow ALL=1` runs it, once a week")
needs_odd = pytest.mark.skipif(not ODD.exists(), reason="the odd video files are not beside the checkout (../shared/data/odd)")


def _has_shared_memory(size=2**24):
    try: torch.zeros(size, dtype=torch.uint8).share_memory_()
    except RuntimeError: return False
    return True


needs_shared_memory = pytest.mark.skipif(not _has_shared_memory(), reason="worker processes cannot pass clips on here: there are no 16 MB of shared memory")


def picture(i, h=48, w=64):
    "A frame that tells its own number by its grey level, with a bar that moves."
    a = np.full((h, w, 3), (i*4) % 200 + 20, np.uint8)
    a[:, (i*2) % w:(i*2) % w + 6] = 255
    return a


def write_video(path, frames=60, fps=25, codec="mpeg4", size=(64, 48), pts=None, bframes=0, gop=12, first=0, fmt="yuv420p", draw=picture, **options):
    "A video of pictures numbered from `first`; `pts` gives other time stamps in units of 1/fps."
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = (draw(first + i, size[1], size[0]) for i in range(frames))
    bit_rate = 4_000_000 # So that the grey levels survive
    return stick.write_video(path, pictures, fps, bit_rate, codec, pix_fmt=fmt, times=pts, g=gop, bf=bframes, **options)


# -- written packet by packet: long, odd and broken files --------------------------------------------------------------

def packets(path):
    "The packets of a film's pictures, in the order in which they lie in the file."
    with av.open(str(path)) as c: yield from (p for p in c.demux(video=0) if p.size)


def remux(src, path, change=lambda i, p: p, sound=None, title=None, **options):
    "The packets of a film, changed, in another file, with sound if there is any; the options are the container's."
    with av.open(str(src)) as c, av.open(str(path), "w", options=options) as out:
        if title: out.metadata["title"] = title
        s, a = out.add_stream_from_template(c.streams.video[0]), sound and out.add_stream("aac", rate=16_000)
        for i, p in enumerate(c.demux(video=0)):
            if not p.size: continue
            p = change(i, p)
            p.stream = s
            out.mux(p)
        if sound: mux_sound(out, a, sound)
    return path


def write_long(path, seconds, piece=10, fps=25, **kwargs):
    "A long video, quickly: the packets of a short one, again and again, with new time stamps."
    short = write_video(path.with_name("piece.avi"), piece*fps, fps, **kwargs)
    with av.open(str(short)) as c, av.open(str(path), "w") as out:
        s = out.add_stream_from_template(c.streams.video[0])
        data, base = [bytes(p) for p in c.demux(video=0) if p.size], c.streams.video[0].time_base
        for i in range(seconds*fps):
            p = av.Packet(data[i % len(data)])
            p.stream, p.time_base, p.pts, p.dts = s, base, i, i
            p.is_keyframe = i % len(data) == 0
            out.mux(p)
    short.unlink()
    return path


def mux_sound(out, s, sound):
    "Encode pieces of sound, [1, 1024] float32 each, into the stream `s` of 16,000 samples a second."
    for i, samples in enumerate(sound):
        f = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        f.sample_rate, f.pts = 16_000, i*1024
        out.mux(s.encode(f))
    out.mux(s.encode())


def write_sound(path, frames=20):
    "Silence, and no picture."
    silence = [np.zeros((1, 1024), np.float32)]*frames
    with av.open(str(path), "w") as c: mux_sound(c, c.add_stream("aac", rate=16_000), silence)
    return path


def write_recording(path, codec, times, size=(64, 48)):
    "As a browser's recorder writes it: WebM with Opus sound, and pictures when they come; neither a duration nor an index."
    path.parent.mkdir(parents=True, exist_ok=True)
    ms = Fraction(1, 1000)
    with av.open(str(path), "w", format="webm", options=dict(live="1")) as c:
        s, a = c.add_stream(codec, rate=30, options={"deadline": "realtime", "cpu-used": "8", "g": "100"}), c.add_stream("libopus", rate=48_000)
        (s.width, s.height), s.pix_fmt, s.bit_rate, s.codec_context.time_base, a.layout, packets = size, "yuv420p", 4_000_000, ms, "mono", []
        for i, t in enumerate(times):
            f = av.VideoFrame.from_ndarray(picture(i, size[1], size[0]), format="rgb24")
            f.pts, f.time_base = round(1000*t), ms
            packets += s.encode(f)
        for k in range(round(50*times[-1])):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, 960*k, Fraction(1, 48_000)
            packets += a.encode(sound)
        for p in sorted(packets + s.encode() + a.encode(), key=lambda p: p.pts*p.time_base): c.mux(p)
    return path


def write_packets(path, codec, fmt, pictures, size):
    "A film at 25 pictures a second whose packets are given, each a key frame."
    with av.open(str(path), "w") as c:
        s = c.add_stream(codec, rate=25)
        (s.width, s.height), s.pix_fmt = size, fmt
        for i, data in enumerate(pictures):
            p = av.Packet(data)
            p.stream, p.pts, p.dts, p.time_base, p.is_keyframe = s, i, i, Fraction(1, 25), True
            c.mux(p)
    return path


def with_matrix(video, path, a, b, c, d):
    "A copy of an MP4 whose track says: show x, y at ax + cy, bx + dy."
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at:at + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def spoil(path, which, byte=None):
    "Write noise, or one byte again and again, over the packet of which `which(i, packet)` is true first."
    at, n = next((p.pos, p.size) for i, p in enumerate(packets(path)) if which(i, p))
    data = bytearray(path.read_bytes())
    data[at:at + n] = np.random.default_rng(0).bytes(n) if byte is None else bytes([byte])*n
    path.write_bytes(data)
    return path


# -- data sets and models ----------------------------------------------------------------------------------------------

def room(number):
    "A function that draws `picture` before a wall of its own: else two videos share frames, which an audit finds."
    wall = np.random.default_rng(number).integers(0, 200, (6, 8, 3), np.uint8)
    def draw(i, h=48, w=64):
        a = picture(i, h, w)
        a[:h//2] = wall.repeat(-(-h//6), 0)[:h//2].repeat(-(-w//8), 1)[:, :w]
        return a
    return draw


def write_dataset(root, classes=("Nod", "Wave"), per_split=None, rooms=False, **kwargs):
    "A data set in UCF101's layout; every video a group of its own, and with `rooms` in a place of its own."
    g = 0
    for split, n in (per_split or dict(train=3, val=1, test=2)).items():
        for label in classes:
            for _ in range(n):
                g += 1
                write_video(root/split/label/f"v_{label}_g{g:02}_c01.avi", **{"frames": 40, "first": g, **(dict(draw=room(g)) if rooms else {}), **kwargs})
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
