"""Whether a challenger may answer in its champion's place: both on the same held-out decisions, and a verdict.

`scores` holds what both said, `measures` compares them, `verdict` has the guards and puts it together.
"""
