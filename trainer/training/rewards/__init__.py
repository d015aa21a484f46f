"""What a sampled answer is worth, for GRPO: pure functions of texts and truths, and their form for TRL.

`answers` rewards YES and NO and the form, `baskets` what is put together, `taste` how far an answer fits the customer;
`stages` puts them together as LBM does.
"""
