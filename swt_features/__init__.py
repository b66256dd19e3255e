"""Market and position features; the one FeatureProcessor."""
