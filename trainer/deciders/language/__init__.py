"""The decider that asks a language model: what is the same whether the model is in this process or behind HTTP.

`model` is what it asks of a model, `readout` turns the first token's log probabilities into answers.
"""
