"""Models behind an HTTP endpoint that speaks OpenAI's chat protocol.

    Clip ──MediaEncoder──> ServedMedia ─┐
    settings, text ─────────────────────┴─> chat request ──endpoint──> reply ──> Generation

What servers do beyond that protocol (videos, beginnings of a turn, log-probabilities of a prompt)
differs; :mod:`llava_eval.models.served.server` says which server offers what.
"""
