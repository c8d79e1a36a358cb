"""A language model as a judge, behind any endpoint that speaks OpenAI's chat protocol.

    prompts ──ReplyStore──> known replies ─┐
       └─ new ──Judge──> HTTP, retries ────┴─> Judging: replies, failures, tokens, cost

Every raw reply is appended to ``judge.jsonl`` before anything is made of it, keyed by the whole
prompt, the judge's model and its parameters, and used again by whatever asks the same.

``scorers`` fills in the prompt that a protocol's file holds and makes a score of the reply, as
``parsers`` reads it for each reference; ``rules_first`` puts to the judge only what rules leave,
and ``dimensions`` asks several prompts about one text. ``judge`` sends prompts, within the limits
of ``budget``; ``replies`` keeps what comes back; ``report`` says what stands beside the numbers.
"""
