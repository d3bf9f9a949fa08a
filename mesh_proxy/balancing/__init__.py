"""Which host of a cluster gets the next request. Pure: time and randomness are arguments."""
