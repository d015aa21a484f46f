"""The rival: the same twins in Quix Streams, as somebody who knows it well would write them.

Runs in an environment of its own, .venv-bench, and imports nothing of ours.
"""
