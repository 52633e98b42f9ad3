"""What clients of providers call: admission, the relay, recorded calls, and routes that are passed on."""
