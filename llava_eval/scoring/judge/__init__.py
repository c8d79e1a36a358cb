"""A language model as a judge, behind any endpoint that speaks OpenAI's chat protocol.

    prompts ──ReplyStore──> known replies ─┐
       └─ new ──Judge──> HTTP, retries ────┴─> Judging: replies, failures, tokens, cost

Every raw reply is appended to ``judge.jsonl`` before anything is made of it, keyed by the whole
prompt, the judge's model and its parameters, and used again by whatever asks the same.
"""
