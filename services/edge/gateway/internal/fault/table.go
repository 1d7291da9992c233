package fault

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

const (
	statusClientClosedRequest = 499
	internalMessage           = "Internal error. The request id leads to its trace in the logs."
)

// shape is how a failure looks to an OpenAI client: the SDKs choose their exception by HTTP code, then by these two.
type shape struct {
	http int
	kind string // "type"
	code string // "code"; empty: the reason in lower case
}

const (
	kindInvalid    = "invalid_request_error"
	kindAuth       = "authentication_error"
	kindPermission = "permission_error"
	kindRateLimit  = "rate_limit_error"
	kindQuota      = "insufficient_quota"
	kindServer     = "server_error"
)

// byCode is the one table from canonical codes; servicekit.errors.HTTP_CODES says the same for Python.
var byCode = map[codes.Code]shape{
	codes.OK:                 {http.StatusInternalServerError, kindServer, ""},
	codes.Canceled:           {statusClientClosedRequest, kindInvalid, ""},
	codes.Unknown:            {http.StatusInternalServerError, kindServer, ""},
	codes.InvalidArgument:    {http.StatusBadRequest, kindInvalid, ""},
	codes.DeadlineExceeded:   {http.StatusGatewayTimeout, kindServer, ""},
	codes.NotFound:           {http.StatusNotFound, kindInvalid, ""},
	codes.AlreadyExists:      {http.StatusConflict, kindInvalid, ""},
	codes.PermissionDenied:   {http.StatusForbidden, kindPermission, ""},
	codes.ResourceExhausted:  {http.StatusTooManyRequests, kindRateLimit, "rate_limit_exceeded"},
	codes.FailedPrecondition: {http.StatusBadRequest, kindInvalid, ""},
	codes.Aborted:            {http.StatusConflict, kindInvalid, ""},
	codes.OutOfRange:         {http.StatusBadRequest, kindInvalid, ""},
	codes.Unimplemented:      {http.StatusNotImplemented, kindInvalid, ""},
	codes.Internal:           {http.StatusInternalServerError, kindServer, ""},
	codes.Unavailable:        {http.StatusServiceUnavailable, kindServer, ""},
	codes.DataLoss:           {http.StatusInternalServerError, kindServer, ""},
	codes.Unauthenticated:    {http.StatusUnauthorized, kindAuth, "invalid_api_key"},
}

// byReason is where a reason says more than its code.
var byReason = map[string]shape{
	"CONTEXT_LENGTH_EXCEEDED": {http.StatusBadRequest, kindInvalid, "context_length_exceeded"},
	"CONTENT_REFUSED":         {http.StatusBadRequest, kindInvalid, "content_filter"},
	"MODEL_NOT_FOUND":         {http.StatusNotFound, kindInvalid, "model_not_found"},
	"METHOD_NOT_FOUND":        {http.StatusNotFound, kindInvalid, "unknown_url"},
	"METHOD_NOT_ALLOWED":      {http.StatusMethodNotAllowed, kindInvalid, ""},
	"BODY_TOO_LARGE":          {http.StatusRequestEntityTooLarge, kindInvalid, ""},
	"BUDGET_EXCEEDED":         {http.StatusTooManyRequests, kindQuota, "insufficient_quota"},
	"OVERLOADED":              {http.StatusServiceUnavailable, kindServer, ""},
}

// defaultReasons are those of failures that carry no ErrorInfo: gRPC and grpc-gateway made them.
var defaultReasons = map[codes.Code]string{
	codes.Canceled:           "CANCELLED",
	codes.Unknown:            "INTERNAL",
	codes.InvalidArgument:    "MALFORMED_REQUEST",
	codes.DeadlineExceeded:   "DEADLINE_EXCEEDED",
	codes.NotFound:           "RESOURCE_NOT_FOUND",
	codes.AlreadyExists:      "RESOURCE_EXISTS",
	codes.PermissionDenied:   "PERMISSION_DENIED",
	codes.ResourceExhausted:  "BODY_TOO_LARGE",
	codes.FailedPrecondition: "INVALID_ARGUMENT",
	codes.Aborted:            "REQUEST_IN_PROGRESS",
	codes.OutOfRange:         "INVALID_ARGUMENT",
	codes.Unimplemented:      "METHOD_NOT_FOUND",
	codes.Internal:           "INTERNAL",
	codes.Unavailable:        "DEPENDENCY_UNAVAILABLE",
	codes.DataLoss:           "INTERNAL",
	codes.Unauthenticated:    "API_KEY_INVALID",
}
