"""What an operation of the control plane is: one function and one declaration.

- `operation`: the declaration, who may ask, and what a function is given and returns.
- `query`: reads the parameters of a query as a struct.
- `handler`: the one request handler that runs operations.
- `description`: what `/openapi.json` says of them.
"""
