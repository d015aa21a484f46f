"""Drift, without a clock and without I/O: what is measured of a window, and when that is too much.

`visits` has the features of a shopping trip and where their bins lie, `psi` how far two samples of them are apart,
`performance` how answers did, `rule` when a segment trips. `snapshot` is what a model was trained on.
"""
