"""What is done about hosts that fail: retries and outlier detection. Pure: time and randomness are arguments."""
