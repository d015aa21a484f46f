"""Deciders: who answers a question about a twin. `base` has the protocol, the rest are its implementations."""
