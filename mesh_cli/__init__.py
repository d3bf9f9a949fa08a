"""The ``mesh`` command for operators. Each module is one verb (or one group of verbs); ``__main__`` lists them all."""
