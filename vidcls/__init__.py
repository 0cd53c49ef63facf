__version__ = "0.1.0"

import warnings as _warnings

with _warnings.catch_warnings(): # In a notebook without widgets tqdm says so when it is first imported; plain bars will do
    _warnings.simplefilter("ignore")
    import tqdm.auto as _tqdm  # noqa: F401
