"""The classifier of prompt injections: corpus, near-duplicates, training, evaluation."""
