"""BLEU, ROUGE-L and CIDEr of captions, equal to pycocoevalcap's and without Java.

`ptb_tokenizer` makes words of texts, `bleu`, `rouge_l` and `cider` make numbers of words; `corpus`
goes the whole way. METEOR and SPICE stay Java programs (`java`).
"""
