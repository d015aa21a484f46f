"""The Shopping-DNA: a twin's state, how events fold into it, and what it reads as.

`layout` names the columns, `rows` holds sorted integer tables, `receipts` and `clicks` fold, `twin` is the state
with its laws (fold, merge, rewind, hash), `binary` its bytes, `reading` and `profile` what is read from it.
"""
