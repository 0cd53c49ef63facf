"""The machinery: what one wants to rely on. One notebook in `nbs/engine/` is one module here."""
