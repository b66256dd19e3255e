"""OANDA v20 client: transport, vocabulary, errors, rate limit."""
