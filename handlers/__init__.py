"""The HTTP edge: Tornado request handlers. No parsing of provider bytes, no queries.

What all of them share lies here; the rooms are dataplane, api, operation and openapi, which never import one another but
for openapi, the description of all of them. `application` has the routes.
"""
