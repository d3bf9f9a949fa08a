"""The check-up of a machine: facts are gathered (read-only), judged by pure functions, and printed as one table."""
