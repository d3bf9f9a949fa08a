"""What is made of the models for others: CustomResourceDefinitions, a JSON schema for editors, the reference in ``docs/``."""
