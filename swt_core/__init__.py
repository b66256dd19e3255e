"""What every part stands on: configuration, calendar, position accounting, state, processes."""
