"""A language model in this process that answers decision queries, with adapters that come and go under load.

`engine` is what others call, on an event loop; `thread` gives it one of its own. `inference` is what the engine asks
of whatever runs the model, `async_vllm` is vLLM doing it and the only module that imports it. `readout` turns the
first token's log probabilities into P(YES) and option probabilities. An adapter's files pass the checks of `adapters`
and, once loaded, its `canaries`; `residents` says which adapters are in memory.
"""
