"""WUPS: how near the words of an answer are to those of the reference, in WordNet 3.0."""
