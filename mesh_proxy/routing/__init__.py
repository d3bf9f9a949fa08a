"""Which route a request takes. Pure: the random number is an argument."""
