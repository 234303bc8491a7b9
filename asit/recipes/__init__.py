"""Recipes: which runs they make, corpora that need no script of their own, new recipes from the template."""
