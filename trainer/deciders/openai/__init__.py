"""A language model behind HTTP, on any server that speaks OpenAI's completions, such as vLLM's own.

`model` is what others call. `server` asks: with a bounded number of calls at a time (`slots`), a total time for each,
retries where they are safe (`retries`) and a circuit breaker (`language.breaker`). `completion` reads answers,
`first_token` weighs what a server tells of the first token.
"""
