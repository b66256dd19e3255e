"""The pages of the validation report: one file a subject, all drawn with matplotlib's object API."""
