"""``llava-eval gate``: has this run become worse than a baseline?"""
