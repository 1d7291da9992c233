"""Topics that an organization does not talk about: deny-lists of terms, matched as whole words in one pass."""
