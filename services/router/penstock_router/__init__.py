"""The front door: identity, the chat pipeline, routing and providers. Read `pipeline` first."""
