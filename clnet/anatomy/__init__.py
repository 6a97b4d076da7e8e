"""The paper's anatomy: 235 structures, 101 decoders, their aliases and the graph of feature-level support."""
