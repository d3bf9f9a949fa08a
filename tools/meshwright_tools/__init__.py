"""What the make targets do: the environment, Pulumi, stacks, wheels and the machine's check-up.

Standard library only, and Python >= 3.9, because it runs before any environment exists (the wheelhouse alone runs in it).
Each executable in the directory above calls a ``main`` here.
"""
