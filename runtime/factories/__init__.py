"""Parts of a bridge that are made of the settings alone: nothing here is opened, or has to be closed."""
