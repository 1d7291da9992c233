"""Toxicity: phrases by category, as data files, and the words beside them that say they are only spoken of."""
