"""From a source file to what it says, without executing anything (libcst)."""
