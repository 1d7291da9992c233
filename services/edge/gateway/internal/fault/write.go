package fault

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/grpc/codes"
)

// HTTPCode is the true HTTP code of the failure.
func (f *Fault) HTTPCode() int { return f.shape().http }

// Write answers a request with the failure. Nothing may have been written before.
func (f *Fault) Write(w http.ResponseWriter, requestID string) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	if f.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(wholeSeconds(f.RetryAfter)))
	}
	f.Rate.Write(header)
	w.WriteHeader(f.HTTPCode())
	_, _ = w.Write(append(f.AppendJSON(nil, requestID), '\n')) // the caller may be gone: nobody to tell
}

// AppendJSON writes {"error": {...}} as OpenAI does, with our reason and the request id besides.
func (f *Fault) AppendJSON(dst []byte, requestID string) []byte {
	s := f.shape()
	dst = appendMember(append(dst, `{"error":{`...), "message", f.Message)
	dst = appendMember(append(dst, ','), "type", s.kind)
	if f.Param == "" {
		dst = append(dst, `,"param":null`...)
	} else {
		dst = appendMember(append(dst, ','), "param", f.Param)
	}
	dst = appendMember(append(dst, ','), "code", firstOf(s.code, strings.ToLower(f.Reason)))
	dst = appendMember(append(dst, ','), "reason", f.Reason)
	dst = appendMember(append(dst, ','), "request_id", requestID)
	return append(dst, `}}`...)
}

func (f *Fault) shape() shape {
	if s, ok := byReason[f.Reason]; ok {
		return s
	}
	if s, ok := byCode[f.Code]; ok {
		return s
	}
	return byCode[codes.Unknown]
}

func appendMember(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '"'), name...), `":`...)
	dst, _ = jsontext.AppendQuote(dst, value) // what is not UTF-8 becomes U+FFFD
	return dst
}

func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
