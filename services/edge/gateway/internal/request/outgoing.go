package request

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

// Outgoing makes the context of the calls made for a request: the caller's metadata, and its deadline, but at most
// timeoutMax. It ends when the caller hangs up. Call cancel when done.
func Outgoing(r *http.Request, timeoutMax time.Duration) (ctx context.Context, cancel context.CancelFunc, err error) {
	timeout, err := timeoutOf(r.Header, timeoutMax)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := metadataOf(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel = context.WithTimeout(r.Context(), timeout)
	return metadata.NewOutgoingContext(ctx, pairs), cancel, nil
}

// metadataOf gives what travels on: who calls, the names of the request, and the key that makes a repeat safe.
func metadataOf(r *http.Request) (metadata.MD, error) {
	scope := FromContext(r.Context())
	pairs := metadata.MD{"x-request-id": {scope.ID}, "traceparent": {scope.Traceparent}}
	if key := r.Header.Get("Authorization"); !isPrintable(key) {
		return nil, &fault.Fault{
			Code: codes.Unauthenticated, Reason: "API_KEY_INVALID", Message: "The API key is not of the form of a key.",
		}
	} else if key != "" {
		pairs["authorization"] = []string{key}
	}
	if key := r.Header.Get("Idempotency-Key"); !isPrintable(key) {
		return nil, fault.Invalid("", "The header Idempotency-Key must be printable ASCII.")
	} else if key != "" {
		pairs["idempotency-key"] = []string{key}
	}
	if state := r.Header.Get("Tracestate"); state != "" && isPrintable(state) {
		pairs["tracestate"] = []string{state}
	}
	return pairs, nil
}

// timeoutOf reads how long the caller waits, from X-Request-Timeout-Ms or Grpc-Timeout.
func timeoutOf(header http.Header, most time.Duration) (time.Duration, error) {
	if text := header.Get("X-Request-Timeout-Ms"); text != "" {
		milliseconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil || milliseconds == 0 {
			return 0, fault.Invalid("", "The header X-Request-Timeout-Ms must be a number of milliseconds above 0.")
		}
		return min(time.Duration(milliseconds)*time.Millisecond, most), nil
	}
	if text := header.Get("Grpc-Timeout"); text != "" {
		timeout, ok := parseGRPCTimeout(text)
		if !ok {
			return 0, fault.Invalid("", "The header Grpc-Timeout must be 1 to 8 digits and one of H, M, S, m, u, n.")
		}
		return min(timeout, most), nil
	}
	return most, nil
}

var grpcTimeoutUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// parseGRPCTimeout reads the Timeout of gRPC over HTTP/2.
func parseGRPCTimeout(text string) (time.Duration, bool) {
	last := len(text) - 1
	unit, known := grpcTimeoutUnits[text[last]]
	value, err := strconv.ParseUint(text[:last], 10, 27) // 8 digits are fewer than 27 bits
	return time.Duration(value) * unit, known && err == nil && value > 0
}
