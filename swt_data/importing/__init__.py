"""Other publishers' files become one-minute bars in UTC."""
