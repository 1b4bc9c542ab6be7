"""A project's generated files: its targets, built and checked."""
