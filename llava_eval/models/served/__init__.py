"""Models behind an HTTP endpoint that speaks OpenAI's chat protocol.

    Clip ──MediaEncoder──> ServedMedia ─┐
    settings, text ─────────────────────┴─> chat request ──endpoint──> reply ──> Generation

Servers differ in what they offer beyond that protocol (videos, continuing the assistant's turn,
log-probabilities of a prompt); :mod:`llava_eval.models.served.server` lists it.
"""
