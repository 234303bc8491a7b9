"""Commands: each module is the console script asit-<module-name>."""
