"""Show a trained model to other people, on a page where they upload or film a video, or use their webcam, and see the model's answer and a heat map."""
from typing import Any as _Any
__all__ = ['Uploads', 'sweep', 'make_app', 'folder_bytes', 'Limit', 'named_texts', 'is_huge', 'Gate', 'launch_options', 'check_address', 'running_app', 'serve_app']
import base64, html, io, json, os, signal, socket, tempfile, threading, time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from fastcore.basics import patch
from ..data import video_table
from .answers import Answers, Camera, MOST_PIXELS, plain_sentence, text_html
from .machine import tell
from .page import picture_uri
from .tables import sources
from .video import read_frames, VideoError
from ..scoring import test_part

def _gradio():
    """Gradio, or an `ImportError` that says how to get it. It sends no statistics."""
    ...

class Uploads:
    """Counts the questions that wait for an upload; the last one removes it."""
    asked: _Any
    lock: _Any
    waiting: _Any

    def __init__(self):
        ...

    def claim(self, file):
        """A question has got in line."""
        ...

    def release(self, file):
        """A question is answered."""
        ...

def sweep(folder, age: float=600.0):
    """Delete files above this age, and empty folders."""
    ...

def _video_outputs(gr):
    """Where an answer goes."""
    ...

def _answer_upload(gr, answers, uploads):
    """What Gradio calls with an upload."""
    ...

def _example_table(examples):
    """The examples, one class after the other as far as there are: path or part, and label."""
    ...

def _middle(video):
    ...

def _pictures(examples, most=8):
    """Up to eight examples that can be read: (video, HTML with its middle frame above its label)."""
    ...

def _examples(gr, answers, examples, outputs):
    """Pictures to click on, instead of an upload. The page knows their numbers, not where they are."""
    ...

def _video_tab(gr, answers, examples, uploads):
    ...

def _webcam_tab(gr, answers, live):
    ...

def make_app(model, examples=None, title: str | None=None, method: str | None='occlusion', reject: float | bool=False, max_minutes: float=10.0, waiting: int=50, live: int=4, device: str | None=None, revision: str | None=None):
    """Make a page on which people try a model with their videos. Raises `ImportError` without Gradio."""
    ...

def folder_bytes(folder) -> int:
    """How many bytes the files below a folder take."""
    ...

class Limit:
    """Rejects requests that are too large, or that do not give their length (ASGI middleware)."""
    app: _Any
    kept: _Any
    other: int
    upload: int

    def __init__(self, app, upload: int, other: int=2 ** 23, kept=lambda: 0):
        ...

    def refusal(self, scope: dict) -> tuple:
        """Why a request is rejected."""
        ...

    async def __call__(self, scope, receive, send):
        if not (no := self.refusal(scope)):
            return await self.app(scope, receive, send)
        from starlette.responses import PlainTextResponse
        await PlainTextResponse(no[1], no[0], {'Connection': 'close'})(scope, receive, send)

def named_texts(data, key: str):
    """All texts that go by a name, at any depth."""
    ...

def is_huge(url: str) -> bool:
    """Has a picture more pixels than a frame may have? It is not decoded."""
    ...
_POSTS = {'upload', 'queue', 'call', 'run', 'api', 'stream', 'cancel', 'reset'}

class Gate:
    """Refuses requests that the page does not make: about files that are not uploads, and for other servers (ASGI)."""
    app: _Any

    def __init__(self, app):
        ...

    def closed(self, scope: dict) -> bool:
        """Is this a part of the server that the page does not need?"""
        ...

    def foreign(self, body: bytes) -> bool:
        """Does it name a file that nobody has uploaded, hold a huge picture, or is it not JSON?"""
        ...

    async def __call__(self, scope, receive, send):
        from starlette.responses import PlainTextResponse
        refusal = PlainTextResponse('This server only answers requests about uploads of a usual size.', 403)
        if self.closed(scope):
            return await refusal(scope, receive, send)
        if scope['type'] != 'http' or scope['method'] != 'POST' or scope['path'].endswith('/upload'):
            return await self.app(scope, receive, send)
        messages = await _all_of(receive)
        if self.foreign(b''.join((m.get('body', b'') for m in messages))):
            return await refusal(scope, receive, send)

        async def again():
            return messages.pop(0) if messages else await receive()
        await self.app(scope, again, send)

async def _all_of(receive):
    """The messages with which a request comes, up to its end."""
    messages = [await receive()]
    while messages[-1].get('more_body'):
        messages.append(await receive())
    return messages
_STYLE = '.vidcls p{margin:.3rem 0}.vidcls h1{font-size:1.6rem;font-weight:600}\n.vidcls h3{font-weight:600;margin:.6rem 0 .3rem}\n.vidcls img{max-width:100%;border-radius:6px}.vidcls img.figure{background:#fff}.vidcls section{overflow-x:auto}\n.vidcls td,.vidcls th{padding:2px 10px;text-align:left}#examples figure{margin:0}#examples img{width:100%}\n#examples figcaption{white-space:normal;overflow-wrap:anywhere;line-height:1.2}\n#examples>.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(110px,1fr))}'

def launch_options(max_mb: float=200) -> dict:
    """Limits, a theme without fonts from the network, and no information about the server."""
    ...

@contextmanager
def _upload_folder():
    """A temporary folder for this server, in which Gradio stores all uploads."""
    ...

def check_address(host: str, port: int | None):
    """Raise an `OSError` of one sentence if no server can listen there."""
    ...

@contextmanager
def running_app(model, examples=None, host: str='127.0.0.1', port: int | None=None, max_mb: float=200, share: bool=False, **options):
    """Run the app in a thread. Raises `OSError` if the port is in use."""
    ...

@contextmanager
def _ended_in_order():
    """A request to end the process raises `SystemExit`, so that what follows `finally` is done."""
    ...

def serve_app(model, **options):
    """Run the app until Ctrl-C or SIGTERM, and remove every few seconds what visitors have left behind."""
    ...
