"""The front ends: the command line, the page (`web`) and `import veil` (`api`), and what they share."""
