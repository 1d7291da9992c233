"""The model of names that the guardrail ships: which words are persons, places, organisations or titles."""
