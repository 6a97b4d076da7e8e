"""Encoder, decoders and what is done to their weights; nothing here knows of data or training loops."""
