"""The files of a run: the ledger, the manifest, and the tables computed from them."""
