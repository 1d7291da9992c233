package fault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	errorsv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/errors/v1"
)

type row struct {
	code  codes.Code
	http  int
	kind  string
	named string // "code" in the answer
}

// table is how each reason looks to an OpenAI client. The codes are those that error_reason.proto names.
var table = map[string]row{
	"INVALID_ARGUMENT":           {codes.InvalidArgument, 400, "invalid_request_error", "invalid_argument"},
	"MALFORMED_REQUEST":          {codes.InvalidArgument, 400, "invalid_request_error", "malformed_request"},
	"UNSUPPORTED_FEATURE":        {codes.InvalidArgument, 400, "invalid_request_error", "unsupported_feature"},
	"CONTEXT_LENGTH_EXCEEDED":    {codes.InvalidArgument, 400, "invalid_request_error", "context_length_exceeded"},
	"MODEL_NOT_FOUND":            {codes.NotFound, 404, "invalid_request_error", "model_not_found"},
	"RESOURCE_NOT_FOUND":         {codes.NotFound, 404, "invalid_request_error", "resource_not_found"},
	"METHOD_NOT_FOUND":           {codes.Unimplemented, 404, "invalid_request_error", "unknown_url"},
	"METHOD_NOT_ALLOWED":         {codes.Unimplemented, 405, "invalid_request_error", "method_not_allowed"},
	"RESOURCE_EXISTS":            {codes.AlreadyExists, 409, "invalid_request_error", "resource_exists"},
	"API_KEY_MISSING":            {codes.Unauthenticated, 401, "authentication_error", "invalid_api_key"},
	"API_KEY_INVALID":            {codes.Unauthenticated, 401, "authentication_error", "invalid_api_key"},
	"API_KEY_REVOKED":            {codes.Unauthenticated, 401, "authentication_error", "invalid_api_key"},
	"PERMISSION_DENIED":          {codes.PermissionDenied, 403, "permission_error", "permission_denied"},
	"CONTENT_REFUSED":            {codes.PermissionDenied, 400, "invalid_request_error", "content_filter"},
	"BODY_TOO_LARGE":             {codes.ResourceExhausted, 413, "invalid_request_error", "body_too_large"},
	"RATE_LIMIT_EXCEEDED":        {codes.ResourceExhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
	"CONCURRENCY_LIMIT_EXCEEDED": {codes.ResourceExhausted, 429, "rate_limit_error", "rate_limit_exceeded"},
	"BUDGET_EXCEEDED":            {codes.ResourceExhausted, 429, "insufficient_quota", "insufficient_quota"},
	"PRICE_UNKNOWN":              {codes.FailedPrecondition, 400, "invalid_request_error", "price_unknown"},
	"HOLD_NOT_OPEN":              {codes.FailedPrecondition, 400, "invalid_request_error", "hold_not_open"},
	"REQUEST_ID_REUSED":          {codes.FailedPrecondition, 400, "invalid_request_error", "request_id_reused"},
	"REQUEST_IN_PROGRESS":        {codes.Aborted, 409, "invalid_request_error", "request_in_progress"},
	"OVERLOADED":                 {codes.ResourceExhausted, 503, "server_error", "overloaded"},
	"DEADLINE_EXCEEDED":          {codes.DeadlineExceeded, 504, "server_error", "deadline_exceeded"},
	"CANCELLED":                  {codes.Canceled, 499, "invalid_request_error", "cancelled"},
	"DEPENDENCY_UNAVAILABLE":     {codes.Unavailable, 503, "server_error", "dependency_unavailable"},
	"STORAGE_UNAVAILABLE":        {codes.Unavailable, 503, "server_error", "storage_unavailable"},
	"DRAINING":                   {codes.Unavailable, 503, "server_error", "draining"},
	"PROVIDER_UNAVAILABLE":       {codes.Unavailable, 503, "server_error", "provider_unavailable"},
	"PROVIDER_REJECTED":          {codes.InvalidArgument, 400, "invalid_request_error", "provider_rejected"},
	"STREAM_INTERRUPTED":         {codes.Unavailable, 503, "server_error", "stream_interrupted"},
	"INTERNAL":                   {codes.Internal, 500, "server_error", "internal"},
}

func written(t *testing.T, err error) (int, string, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	fault.From(err).Write(w, "r-1")
	var body struct{ Error map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Code, w.Header().Get("Retry-After"), body.Error
}

func TestEachReasonHasItsHTTPCodeTypeAndCode(t *testing.T) {
	for reason, want := range table {
		code, _, body := written(t, fakerouter.Error(want.code, reason, "Why."))
		got := row{want.code, code, body["type"].(string), body["code"].(string)}
		if got != want || body["reason"] != reason || body["message"] != "Why." || body["request_id"] != "r-1" || body["param"] != nil {
			t.Errorf("%s is %+v, want %+v (%v)", reason, got, want, body)
		}
	}
}

func TestTheTableHasEveryReason(t *testing.T) {
	for number, name := range errorsv1.ErrorReason_name {
		if _, known := table[name[len("ERROR_REASON_"):]]; !known && number != 0 {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestAFailureWithoutAReasonGetsThatOfItsCode(t *testing.T) {
	for code, want := range map[codes.Code]struct {
		http   int
		reason string
	}{
		codes.Unavailable:        {503, "DEPENDENCY_UNAVAILABLE"},
		codes.DeadlineExceeded:   {504, "DEADLINE_EXCEEDED"},
		codes.Internal:           {500, "INTERNAL"},
		codes.Unknown:            {500, "INTERNAL"},
		codes.DataLoss:           {500, "INTERNAL"},
		codes.Unimplemented:      {404, "METHOD_NOT_FOUND"},
		codes.InvalidArgument:    {400, "MALFORMED_REQUEST"},
		codes.OutOfRange:         {400, "INVALID_ARGUMENT"},
		codes.FailedPrecondition: {400, "INVALID_ARGUMENT"},
		codes.ResourceExhausted:  {413, "BODY_TOO_LARGE"}, // gRPC makes it for a message that is too large
		codes.Canceled:           {499, "CANCELLED"},
		codes.Aborted:            {409, "REQUEST_IN_PROGRESS"},
		codes.AlreadyExists:      {409, "RESOURCE_EXISTS"},
		codes.NotFound:           {404, "RESOURCE_NOT_FOUND"},
		codes.PermissionDenied:   {403, "PERMISSION_DENIED"},
		codes.Unauthenticated:    {401, "API_KEY_INVALID"},
	} {
		got, _, body := written(t, status.Error(code, "dial tcp 10.0.0.1:50051"))
		if got != want.http || body["reason"] != want.reason {
			t.Errorf("%v is %d %v, want %+v", code, got, body["reason"], want)
		}
	}
}

func TestWhatGRPCItselfSaysAboutUsDoesNotLeave(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.Unknown, codes.DeadlineExceeded, codes.DataLoss} {
		if _, _, body := written(t, status.Error(code, "dial tcp 10.0.0.1:50051")); body["message"] == "dial tcp 10.0.0.1:50051" {
			t.Errorf("%v says %q", code, body["message"])
		}
	}
	if code, _, body := written(t, errors.New("secret")); code != 500 || body["message"] == "secret" {
		t.Errorf("a bug says %q", body["message"])
	}
}

func TestTheFieldAtFaultIsNamedAsInJSON(t *testing.T) {
	for field, want := range map[string]any{
		"parameters.messages[0].role": "messages[0].role", "parameters.inputs[2].text": "input[2].text", "page_size": "page_size",
		"parameters.prompts": "prompt", "parameters.prompts[1].tokens": "prompt[1].tokens", "prompts": "prompt",
		"input.tokens": "prompt", "input.prompt": "prompt", "input.chat.messages": "messages", "input.chat.tool_choice": "tool_choice",
	} {
		err := fakerouter.Error(codes.InvalidArgument, "INVALID_ARGUMENT", "Bad.", fakerouter.Violation(field, "bad"))
		if _, _, body := written(t, err); body["param"] != want || body["message"] != fmt.Sprint(want, ": bad") {
			t.Errorf("param is %v, message %v, want %v", body["param"], body["message"], want)
		}
	}
}

func TestRetryAfterIsInWholeSecondsRoundedUp(t *testing.T) {
	err := fakerouter.Error(codes.ResourceExhausted, "RATE_LIMIT_EXCEEDED", "Slow down.", fakerouter.RetryAfter(1100*time.Millisecond))
	if _, after, _ := written(t, err); after != "2" {
		t.Errorf("Retry-After %q", after)
	}
}

func TestARefusalByARateSaysInHeadersHowTheRateStands(t *testing.T) {
	info := &errdetails.ErrorInfo{Reason: "RATE_LIMIT_EXCEEDED", Metadata: map[string]string{
		"unit": "tokens", "value": "1000", "remaining": "12",
	}}
	rich, err := status.New(codes.ResourceExhausted, "Slow down.").WithDetails(info, fakerouter.RetryAfter(1500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	fault.From(rich.Err()).Write(w, "r")
	for name, want := range map[string]string{
		"X-Ratelimit-Limit-Tokens": "1000", "X-Ratelimit-Remaining-Tokens": "12", "X-Ratelimit-Reset-Tokens": "1.5s",
		"Retry-After": "2", "X-Ratelimit-Limit-Requests": "",
	} {
		if got := w.Header().Get(name); got != want || w.Code != 429 {
			t.Errorf("%d %s: %q, want %q", w.Code, name, got, want)
		}
	}
}

func TestTheEndOfAContextIsAFailureLikeOthers(t *testing.T) {
	if code, _, _ := written(t, context.Canceled); code != 499 {
		t.Errorf("cancelled is %d", code)
	}
	if code, _, _ := written(t, context.DeadlineExceeded); code != 504 {
		t.Errorf("too late is %d", code)
	}
}
