"""The L4 tier: what will be asked next. Pure."""
