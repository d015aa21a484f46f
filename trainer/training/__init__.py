"""How a language model learns to decide: from cases of the lake to a base, and from a base to a segment's adapter.

`questions` gathers what a twin showed at each case, `examples` renders it by the renderer that serves, `vocabulary`
makes whole lines tokens, `base` trains a small model from scratch, `sft` and `grpo` adapt one to a segment, `runs`
keeps what is needed to do it again, `adapter` goes all the way to a published version.
"""
