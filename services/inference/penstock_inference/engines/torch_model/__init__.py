"""A decoder of the Llama family in PyTorch, over paged KV memory."""
