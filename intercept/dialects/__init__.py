"""What providers are sent and answer, a module for each dialect: a request parser and readers. `catalog` lists them."""
