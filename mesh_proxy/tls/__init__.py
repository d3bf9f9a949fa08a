"""TLS of connections: contexts made of configuration and secrets, and who the other end is. It owns no socket."""
