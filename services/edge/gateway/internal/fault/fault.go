// Package fault is every failure that a caller can see: a gRPC status with a reason, written as OpenAI writes errors.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/ratelimit"
)

const violationsMax = 4 // in a message; one more helps nobody

// Fault is a failure for a caller. Reason is a value of penstock.errors.v1.ErrorReason without its prefix.
type Fault struct {
	Code       codes.Code
	Reason     string
	Message    string         // for people; holds no prompt, answer or secret
	Param      string         // JSON path of the member at fault, "messages[0].content"; empty: none
	RetryAfter time.Duration  // when a retry may succeed; 0: not known
	Rate       ratelimit.Rate // that is used up; its Unit is empty where none is
}

// Error says what failed, for logs.
func (f *Fault) Error() string { return fmt.Sprintf("%s: %s", f.Reason, f.Message) }

// GRPCStatus lets status.Convert keep the canonical code.
func (f *Fault) GRPCStatus() *status.Status { return status.New(f.Code, f.Message) }

// Malformed is a body that is not JSON, not UTF-8, or has a member of the wrong type.
func Malformed(param, format string, args ...any) *Fault {
	return &Fault{Code: codes.InvalidArgument, Reason: "MALFORMED_REQUEST", Param: param, Message: fmt.Sprintf(format, args...)}
}

// Invalid is a member whose value is not allowed.
func Invalid(param, format string, args ...any) *Fault {
	return &Fault{Code: codes.InvalidArgument, Reason: "INVALID_ARGUMENT", Param: param, Message: fmt.Sprintf(format, args...)}
}

// Unsupported is a member that asks for what this API does not do.
func Unsupported(param, format string, args ...any) *Fault {
	return &Fault{Code: codes.InvalidArgument, Reason: "UNSUPPORTED_FEATURE", Param: param, Message: fmt.Sprintf(format, args...)}
}

// BodyTooLarge is a body above the limit.
func BodyTooLarge(bytesMax int64) *Fault {
	return &Fault{
		Code: codes.ResourceExhausted, Reason: "BODY_TOO_LARGE",
		Message: fmt.Sprintf("The body is larger than %d bytes.", bytesMax),
	}
}

// MethodNotFound is a path that nothing answers.
func MethodNotFound(path string) *Fault {
	return &Fault{Code: codes.Unimplemented, Reason: "METHOD_NOT_FOUND", Message: fmt.Sprintf("No such path: %s", path)}
}

// MethodNotAllowed is a path that answers other HTTP methods only.
func MethodNotAllowed(method, path string) *Fault {
	return &Fault{
		Code: codes.Unimplemented, Reason: "METHOD_NOT_ALLOWED",
		Message: fmt.Sprintf("%s does not take %s.", path, method),
	}
}

// Overloaded is a request above a limit of this process.
func Overloaded(message string) *Fault {
	return &Fault{Code: codes.Unavailable, Reason: "OVERLOADED", Message: message, RetryAfter: time.Second}
}

// Interrupted is a stream that broke off after its first event: what came is not whole.
func Interrupted() *Fault {
	return &Fault{
		Code: codes.Unavailable, Reason: "STREAM_INTERRUPTED",
		Message: "The answer broke off; what came is not whole.",
	}
}

// From reads any error: a Fault as it is, a gRPC error with its details, a context's end; the rest is a defect of ours.
func From(err error) *Fault {
	var known *Fault
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled):
		return fromCode(codes.Canceled, "The caller hung up.")
	case errors.Is(err, context.DeadlineExceeded):
		return fromCode(codes.DeadlineExceeded, "The deadline passed before the work was done.")
	}
	rich, ok := status.FromError(err)
	if !ok || rich.Code() == codes.Unknown {
		return fromCode(codes.Internal, internalMessage)
	}
	return fromStatus(rich)
}

func fromStatus(rich *status.Status) *Fault {
	f := fromCode(rich.Code(), rich.Message())
	named := false
	for _, detail := range rich.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			named, f.Reason = true, d.GetReason()
			f.Param = firstOf(f.Param, d.GetMetadata()["field"])
			if f.Reason == "RATE_LIMIT_EXCEEDED" {
				f.Rate = rateOf(d.GetMetadata())
			}
		case *errdetails.BadRequest:
			if violations := d.GetFieldViolations(); len(violations) > 0 {
				f.Param, f.Message = violations[0].GetField(), wordViolations(violations)
			}
		case *errdetails.RetryInfo:
			f.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	f.Rate.Reset = f.RetryAfter
	f.Param = memberPath(f.Param)
	if !named {
		f.Message = plainMessage(f)
	}
	return f
}

// rateOf reads which rate is used up; a number that is none counts as 0.
func rateOf(metadata map[string]string) ratelimit.Rate {
	value, _ := strconv.ParseInt(metadata["value"], 10, 64)
	remaining, _ := strconv.ParseInt(metadata["remaining"], 10, 64)
	return ratelimit.Rate{Unit: metadata["unit"], Value: value, Remaining: remaining}
}

func fromCode(code codes.Code, message string) *Fault {
	return &Fault{Code: code, Reason: defaultReasons[code], Message: message}
}

// plainMessage words the failures that gRPC itself makes: their texts name our addresses.
func plainMessage(f *Fault) string {
	switch f.Code {
	case codes.Unavailable:
		return "The router does not answer; retry."
	case codes.DeadlineExceeded:
		return "The deadline passed before the work was done."
	case codes.ResourceExhausted:
		return "The request is larger than the router accepts."
	case codes.Internal, codes.DataLoss:
		return internalMessage
	}
	return f.Message
}

// wordViolations says what is wrong with each member, by the names that the caller's JSON has.
func wordViolations(violations []*errdetails.BadRequest_FieldViolation) string {
	var each []string
	for _, violation := range violations[:min(len(violations), violationsMax)] {
		each = append(each, memberPath(violation.GetField())+": "+violation.GetDescription())
	}
	return strings.Join(each, "; ")
}

// members says what the JSON calls that the contracts name otherwise: the router's lists, and what inference makes of them.
var members = []struct{ field, member string }{
	{"inputs", "input"},
	{"prompts", "prompt"},
	{"input.prompt", "prompt"},
	{"input.tokens", "prompt"},
	{"input.chat.", ""},
	{"constraint.response_format.json_schema.schema_json", "response_format.json_schema.schema"},
	{"constraint.", ""},
}

// memberPath turns the path of a proto field into that of the JSON member that it was read from.
func memberPath(field string) string {
	field = strings.TrimPrefix(field, "parameters.")
	for _, named := range members {
		if rest, ok := strings.CutPrefix(field, named.field); ok {
			return named.member + rest
		}
	}
	return field
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
