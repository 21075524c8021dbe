"""The names of `import vaezoo`: what the commands do, in Python."""
