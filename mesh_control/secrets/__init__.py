"""Secrets for proxies (SDS): what their names mean, who may have which, and the conversation about them."""
