"""What the proxy tells: access logs and statistics. Pure formatting; files are opened by the worker."""
