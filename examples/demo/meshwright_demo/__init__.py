"""The workloads of the demo.

``store`` sells: it calls ``order``, ``warehouse`` and ``warranty``; order calls warehouse and warranty;
warehouse calls warranty. Each keeps its data in a schema of its own in one PostgreSQL database. ``book-store`` stands alone,
and can be slow or broken on purpose. One process runs one program: ``python -m meshwright_demo PROGRAM``.
"""

__version__ = "0.1.0"
