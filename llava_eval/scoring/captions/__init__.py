"""BLEU, ROUGE-L and CIDEr of captions, equal to pycocoevalcap's and without Java.

:func:`~llava_eval.scoring.captions.corpus.score_captions` goes the whole way from texts to numbers.
"""
