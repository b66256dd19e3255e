"""The web dashboard: one local page about an installation, from its state directories alone."""
