"""What the API shows and reads: structs that several modules need, which OpenAPI describes. Pure: no I/O, no clock."""
