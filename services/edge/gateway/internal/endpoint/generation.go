package endpoint

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Limits bound one request.
type Limits struct {
	Timeout time.Duration // from the request's first byte to the answer's last
	Stall   time.Duration // longest that the caller may take to accept one event of a stream
}

// Generation serves a path whose answers come whole or as a stream: P is what is asked, S a message of the stream.
type Generation[P, S any] struct {
	decode func(body []byte, header http.Header) (parameters P, stream bool, err error)
	create func(ctx context.Context, parameters P) (json []byte, receipt *routerv1.Receipt, err error)
	open   func(ctx context.Context, parameters P) (grpc.ServerStreamingClient[S], error)
	append func(dst []byte, part *S, parameters P) []byte
	rates  func(first *S) []*billingv1.RateLimit
	limits Limits
	events Events
}

// Serve reads the request once and answers it whole or as a stream. An error means that nothing was written yet.
func (g *Generation[P, S]) Serve(w http.ResponseWriter, r *http.Request) error {
	body, err := request.ReadBody(w, r)
	if err != nil {
		return err
	}
	parameters, stream, err := g.decode(body, r.Header)
	if err != nil {
		return err
	}
	ctx, cancel, err := request.Outgoing(r, g.limits.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	if stream {
		return g.stream(w, r.WithContext(ctx), parameters)
	}
	json, receipt, err := g.create(ctx, parameters)
	if err != nil {
		return err
	}
	writeJSON(w, json, receipt)
	return nil
}

// stream waits for the first part before it writes anything, so that a failure until then has its true HTTP code.
func (g *Generation[P, S]) stream(w http.ResponseWriter, r *http.Request, parameters P) error {
	parts, err := g.open(r.Context(), parameters)
	if err != nil {
		return err
	}
	first, err := parts.Recv()
	if err != nil {
		return noFirst(err)
	}
	writeRates(w.Header(), g.rates(first))
	g.relay(r, newEventSink(w, g.limits.Stall), parts, first, parameters)
	return nil
}

// relay writes each part as an event as it comes, then [DONE] - or the error, and no [DONE]: a broken stream never ends clean.
func (g *Generation[P, S]) relay(
	r *http.Request, sink *eventSink, parts grpc.ServerStreamingClient[S], part *S, parameters P,
) {
	scope := request.FromContext(r.Context())
	g.events.FirstEvent(time.Since(scope.Began))
	for count := 1; ; count++ {
		if err := sink.event(func(dst []byte) []byte { return g.append(dst, part, parameters) }); err != nil {
			scope.Reason = "CANCELLED" // by the caller; returning cancels the call
			g.events.StreamEnded(count, scope.Reason)
			return
		}
		next, err := parts.Recv()
		if err != nil {
			scope.Reason = sink.end(r.Context(), err, scope.ID)
			g.events.StreamEnded(count, scope.Reason)
			return
		}
		part = next
	}
}
