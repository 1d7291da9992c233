"""Prices, holds and the double-entry ledger."""
