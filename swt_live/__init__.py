"""Practice server, feed, executor, reconciler, journal, live daemon."""
