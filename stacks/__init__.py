"""Pulumi programs: what exists, per environment.

``environment.py`` is the one model of an environment, ``environments/`` declares the ones that come with the project,
``machines/`` are the machine drivers, ``layers/`` the components, ``providers/`` the thin dynamic providers behind them.
Nothing imports this package; it reaches the mesh through :mod:`mesh_policy` alone.
"""
