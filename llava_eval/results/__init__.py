"""The files that a run leaves behind: the ledger, the manifest, and the tables made of them."""
