"""Generated data: StickUCF and other moves. One notebook in `nbs/synthetic/` is one module here."""
