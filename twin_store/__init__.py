"""What is remembered and said: messages, the DNA fold, state, the product index, evidence and the lake."""
