"""What the API shows and reads: a struct for each object, which OpenAPI describes. Pure: no I/O, no clock."""
