"""BLEU, ROUGE-L and CIDEr of captions, equal to pycocoevalcap's and without Java.

`score_captions` goes the whole way from texts to numbers. `tokenize` and the single metrics are its
parts.
"""

from llava_eval.metrics.captions.bleu import bleu
from llava_eval.metrics.captions.cider import cider
from llava_eval.metrics.captions.ptb_tokenizer import tokenize, tokenize_caption
from llava_eval.metrics.captions.rouge_l import rouge_l
from llava_eval.metrics.captions.score import CaptionScore
from llava_eval.metrics.captions.whole_set import score_captions

__all__ = [
    "CaptionScore",
    "bleu",
    "cider",
    "rouge_l",
    "score_captions",
    "tokenize",
    "tokenize_caption",
]
