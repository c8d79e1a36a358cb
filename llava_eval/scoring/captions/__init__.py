"""BLEU, ROUGE-L and CIDEr of captions, equal to pycocoevalcap's and without Java.

`score_captions` goes the whole way from texts to numbers. `tokenize` and the single metrics are its
parts.
"""
