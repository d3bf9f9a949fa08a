"""Thin dynamic providers: they parse, call the module that does the work, and say what differs.

An instance holds nothing (it is pickled into the state by reference to its module), so the code behind it may change
between two runs.
"""
