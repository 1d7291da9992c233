package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

// ErrDraining is the cause of a context that ends because this process does.
var ErrDraining = errors.New("draining")

// Events is told of each stream's events.
type Events interface {
	FirstEvent(afterStart time.Duration)
	StreamEnded(events int, reason string)
}

// noFirst is the failure of a stream without a first part.
func noFirst(err error) error {
	if errors.Is(err, io.EOF) {
		return &fault.Fault{Code: codes.Internal, Reason: "INTERNAL", Message: "The router sent no answer."}
	}
	return err
}

// eventSink writes server-sent events (WHATWG HTML, 9.2), each flushed, each within stall.
type eventSink struct {
	writer     http.ResponseWriter
	controller *http.ResponseController
	stall      time.Duration
	buffer     []byte
}

func newEventSink(w http.ResponseWriter, stall time.Duration) *eventSink {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	header.Set("X-Accel-Buffering", "no")
	return &eventSink{writer: w, controller: http.NewResponseController(w), stall: stall}
}

func (s *eventSink) event(appendData func(dst []byte) []byte) error {
	s.buffer = appendData(append(s.buffer[:0], "data: "...))
	return s.send()
}

// end writes how the stream ended and gives the reason if that was a failure. Nobody may be there to read it.
func (s *eventSink) end(ctx context.Context, err error, requestID string) string {
	if errors.Is(err, io.EOF) {
		s.buffer = append(s.buffer[:0], "data: [DONE]"...)
		_ = s.send()
		return ""
	}
	f := midStream(ctx, err)
	s.buffer = f.AppendJSON(append(s.buffer[:0], "data: "...), requestID)
	_ = s.send()
	return f.Reason
}

// midStream words a failure after the first event: a lost connection is then an answer that is not whole.
func midStream(ctx context.Context, err error) *fault.Fault {
	f := fault.From(err)
	lost := f.Reason == "DEPENDENCY_UNAVAILABLE" || f.Reason == "CANCELLED" && errors.Is(context.Cause(ctx), ErrDraining)
	if lost {
		return fault.Interrupted()
	}
	return f
}

func (s *eventSink) send() error {
	s.buffer = append(s.buffer, "\n\n"...)
	if err := s.controller.SetWriteDeadline(time.Now().Add(s.stall)); err != nil {
		return err
	}
	if _, err := s.writer.Write(s.buffer); err != nil {
		return err
	}
	return s.controller.Flush()
}
