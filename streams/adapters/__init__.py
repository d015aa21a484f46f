"""Adapters in service: what `twins.adapters` says is loaded, asked and let go again, while questions go on.

`desk` writes releases, one writer at a time; `releases` is what they say by segment, `locations` where adapters lie.
In a worker `service` follows the topic in a thread of its own, `swaps` has the model take versions in and let them go,
`routing` tells each question which adapter it goes to, and `reports` publishes what became of them. `shadows` keeps
what adapters on trial said, `comparison` holds it against what happened, `overview` lists it all.
"""
