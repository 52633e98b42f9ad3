"""What `/openapi.json` says of each resource: typed structs, parameters, errors. `handler` serves it."""
