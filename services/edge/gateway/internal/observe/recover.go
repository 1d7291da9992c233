package observe

import (
	"log/slog"
	"net/http"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"
)

// Recovered answers a panic with INTERNAL, and logs its stack. A response that has begun is broken off instead, so that it does
// not look whole.
func Recovered(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			scope := request.FromContext(r.Context())
			log.Error("panic", "request_id", scope.ID, "trace_id", scope.TraceID(), "cause", cause, "stack", string(debug.Stack()))
			if seen.code != 0 {
				panic(http.ErrAbortHandler)
			}
			request.WriteError(seen, r, status.Error(codes.Internal, ""))
		}()
		next.ServeHTTP(seen, r)
	})
}
