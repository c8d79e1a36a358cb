"""A language model as a judge, behind any OpenAI-compatible endpoint.

    prompts ──ReplyStore──> known replies ─┐
       └─ new ──Judge──> HTTP, retries ────┴─> Judging: replies, failures, tokens, cost

Every raw reply is appended to ``judge.jsonl`` before it is used. Its key consists of the whole
prompt, the judge's model and its parameters, and equal requests reuse the reply.

``scorers`` fills in the prompt of a protocol's file and turns the reply into a score, after
``parsers`` has read it as the reference does. ``rules_first`` asks the judge only if rules cannot
decide, and ``dimensions`` sends several prompts about one text. ``judge`` sends prompts within the
limits of ``budget``, ``replies`` stores the replies, and ``report`` describes the judge in tables.
"""
