"""Which answers stay when memory is full. Pure."""
