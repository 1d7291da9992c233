"""Every model of the stack: continuous batching over our own engines, and embeddings."""
