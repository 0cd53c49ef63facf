__version__ = "0.1.0"

import sys as _sys, warnings as _warnings

if "ipykernel" in _sys.modules: # In a notebook without widgets tqdm says so when it is first imported; plain bars will do
    with _warnings.catch_warnings():
        _warnings.simplefilter("ignore")
        import tqdm.auto as _tqdm  # noqa: F401
