"""Configuration, calendar, position accounting, checkpoint store, state directories, processes: what every part stands on."""
