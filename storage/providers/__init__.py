"""The providers in the database, in addition to those of the environment, with their keys sealed."""
