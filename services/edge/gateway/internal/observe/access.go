package observe

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"
)

const routeUnknown = "none"

// Answers counts and logs every request: failures of ours at level warning, the rest at level debug, since Envoy logs each.
func Answers(log *slog.Logger, metrics *Metrics, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		metrics.inFlight.Inc()
		defer metrics.inFlight.Dec()
		seen := &statusWriter{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.code == 0 {
			seen.code = http.StatusOK // an empty answer
		}
		scope := request.FromContext(r.Context())
		route, took := scope.Route, time.Since(scope.Began)
		if route == "" {
			route = routeUnknown
		}
		metrics.answered(route, seen.code, took)
		level := slog.LevelDebug
		if seen.code >= http.StatusInternalServerError || scope.Reason == "STREAM_INTERRUPTED" {
			level = slog.LevelWarn
		}
		if log.Enabled(r.Context(), level) {
			log.LogAttrs(r.Context(), level, "request_answered",
				slog.String("request_id", scope.ID), slog.String("trace_id", scope.TraceID()),
				slog.String("method", r.Method), slog.String("route", route), slog.Int("code", seen.code),
				slog.String("reason", scope.Reason), slog.Float64("seconds", took.Seconds()))
		}
	})
}

// statusWriter remembers the HTTP code; 0 until the response begins. Unwrap lets http.ResponseController reach what it wraps.
type statusWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the code.
func (w *statusWriter) WriteHeader(code int) {
	w.code = code
	w.ResponseWriter.WriteHeader(code)
}

// Write begins the response if nothing has.
func (w *statusWriter) Write(body []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// Unwrap gives the wrapped writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
