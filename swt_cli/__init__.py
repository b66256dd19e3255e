"""The swt command: a thin layer over the packages."""
