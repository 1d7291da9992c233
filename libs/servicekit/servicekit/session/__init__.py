"""Many unary calls on one stream, `penstock.session.v1`: `servicer` runs them, `channel` makes them."""

import grpc

REQUEST_BYTES_MAX = 262_144  # of a call; larger ones are RPCs of their own

CODES = {code.value[0]: code for code in grpc.StatusCode}
