"""Recognizers of organizations: patterns in linear time, bounded, the same streamed or not."""
