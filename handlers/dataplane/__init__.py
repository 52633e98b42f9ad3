"""What clients of providers call.

The path of a request, in the order in which it takes it:

1.  Find       `handlers/application.py` finds the provider, the route and what serves it: one of `services/`: a
               recorded call (`recorded.py`), one that is only passed on (`passthrough.py`; `batches.py` and
               `stored_response.py` record what it tells of earlier calls), or a refusal (`not_served.py`, with the words of
               `addresses.py`).
2.  Admit      The head is there, the body is not read yet. `ProxyHandler.prepare` in `proxy.py` begins; `admission.py` has the
               order of the questions: is a slot free, whose token is it, is the rate kept, can the request be served at all?
3.  Receive    `ProxyHandler.data_received` collects the body. A request whose body is slow may have to give its slot away. A
               form with files is not collected: it is served while it arrives (`incoming_form.py`).
4.  Read       `ProxyHandler.get`, `post` and so on call the service's `serve`. That of a recorded call reads the body
               (`summary.py`) and makes the record of its start.
5.  Choose     `fallback.py` finds the providers that may serve it, `upstream_request.py` chooses a key.
6.  Record     Policies and the limits that need the body decide, then the start is recorded: `policy.py`, and `count` and
               `begin` in `call.py`.
7.  Connect    `fallback.py` asks the circuit breaker, and one provider after the other. `upstream_request.py` sends the
               request. It tries again where nothing was sent, or with another key.
8.  Relay      `relay.py` passes each piece on to the client. The call reads a copy; `pings.py` fills silence.
9.  End        `end` in `call.py`: how the call ended is recorded, and what it used is charged.
10. Finish     `ProxyHandler.on_finish` gives back what the request held.

How far a request is on this path, and what stopped it, is in `states.py`.

`ProxyHandler` is the only Tornado handler here. It knows one object that says what is done for the request, a `Service`.
All others are plain objects and functions that are given the handler; it does not refer to them. `shared.py` has what is made
once for all requests. `services/sockets/` serves WebSockets, where each message may be a call.
"""
