package request

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

const (
	bodyBytesFirst = 4096
	bodyTimeMax    = time.Minute      // longest that a body may take to come
	discardFactor  = 4                // how many times the limit is read of a body that is refused
	discardTimeMax = 10 * time.Second // and for how long
)

// Limited refuses a body above bytesMax, and any body while those of all requests hold more than heldMax. What was sent of one
// that is too large is read to its end, within bounds, before it is refused: callers that still send would not see the answer.
func Limited(bytesMax, heldMax int64, next http.Handler) http.Handler {
	var held atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := &limitedBody{
			ReadCloser: r.Body, control: http.NewResponseController(w), bytesMax: bytesMax, heldMax: heldMax, held: &held,
		}
		defer func() { held.Add(-body.bytes) }()
		if r.ContentLength > bytesMax {
			WriteError(w, r, body.refuse())
			return
		}
		r.Body = body
		next.ServeHTTP(w, r)
	})
}

// limitedBody fails with a Fault where the body passes a limit.
type limitedBody struct {
	io.ReadCloser
	control  *http.ResponseController
	bytes    int64 // read so far
	bytesMax int64
	held     *atomic.Int64 // read so far by all requests that are open
	heldMax  int64
}

// Read reads what is allowed.
func (b *limitedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.bytes += int64(n)
	held := b.held.Add(int64(n))
	switch {
	case b.bytes > b.bytesMax:
		return 0, b.refuse()
	case held > b.heldMax:
		return 0, fault.Overloaded("Too many bytes of requests are in flight; retry.")
	}
	return n, err
}

func (b *limitedBody) refuse() error {
	_ = b.control.SetReadDeadline(time.Now().Add(discardTimeMax)) // where that is not supported, the bytes are the bound
	_, _ = io.CopyN(io.Discard, b.ReadCloser, discardFactor*b.bytesMax)
	_ = b.control.SetReadDeadline(time.Time{})
	return fault.BodyTooLarge(b.bytesMax)
}

// ReadBody reads a whole body within a minute.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeMax)); err != nil {
		return nil, err
	}
	body, err := readAll(r)
	if err != nil {
		return nil, bodyError(err)
	}
	// From now on the server reads only to see whether the caller hangs up, and that may take as long as the answer.
	return body, control.SetReadDeadline(time.Time{})
}

// readAll reads a body that says its length into a buffer of that size, with one byte more for the end to be seen.
func readAll(r *http.Request) ([]byte, error) {
	body := make([]byte, 0, max(r.ContentLength, bodyBytesFirst)+1)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, err
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

func bodyError(err error) error {
	var known *fault.Fault
	if errors.As(err, &known) {
		return known
	}
	return fault.Malformed("", "The body broke off.")
}
