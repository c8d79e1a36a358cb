"""Bring a benchmark's media onto this machine: fetch archives, and unpack them safely."""
