"""The providers that are kept in the database, beside those of the environment, with their keys sealed."""
