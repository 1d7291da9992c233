// Package rest serves the typed REST API: the handlers that grpc-gateway generates from the protos.
package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	cachev1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/cache/v1"
	guardrailv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/guardrail/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Lists and zeros are always written, so that callers need not know proto's defaults; unknown members are refused.
var protoJSON = &runtime.JSONPb{
	MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true},
}

// NewMux makes the handler of every annotated path, but for those whose JSON is OpenAI's own.
func NewMux(conn *grpc.ClientConn, timeoutMax time.Duration) (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, protoJSON),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithMetadata(ours),
		runtime.WithMiddlewares(probed, called(timeoutMax)),
		runtime.WithErrorHandler(writeError),
		runtime.WithRoutingErrorHandler(writeRoutingError),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		routerv1.RegisterModelServiceHandler,
		routerv1.RegisterApiKeyServiceHandler,
		routerv1.RegisterPersonServiceHandler,
		billingv1.RegisterUsageServiceHandler,
		billingv1.RegisterUsageCorrectionServiceHandler,
		billingv1.RegisterBudgetServiceHandler,
		billingv1.RegisterPriceServiceHandler,
		billingv1.RegisterLimitServiceHandler,
		billingv1.RegisterInvoiceServiceHandler,
		billingv1.RegisterWebhookServiceHandler,
		guardrailv1.RegisterPolicyServiceHandler,
		guardrailv1.RegisterAuditServiceHandler,
		guardrailv1.RegisterErasureServiceHandler,
		cachev1.RegisterAnswerCacheServiceHandler,
		cachev1.RegisterAnswerFeedbackServiceHandler,
	} {
		if err := register(context.Background(), mux, conn); err != nil {
			return nil, err
		}
	}
	return mux, nil
}

// called gives the calls of a request their metadata and deadline, and names its route.
func called(timeoutMax time.Duration) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, parameters map[string]string) {
			if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
				request.FromContext(r.Context()).Route = pattern.String()
			}
			ctx, cancel, err := request.Outgoing(r, timeoutMax)
			if err != nil {
				request.WriteError(w, r, err)
				return
			}
			defer cancel()
			next(w, r.WithContext(ctx), parameters)
		}
	}
}

// ours is the metadata that request.Outgoing made; the authorization grpc-gateway adds by itself.
func ours(ctx context.Context, _ *http.Request) metadata.MD {
	pairs, _ := metadata.FromOutgoingContext(ctx) // a copy
	delete(pairs, "authorization")
	return pairs
}

func none(string) (string, bool) { return "", false }

func writeError(
	_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error,
) {
	var malformed *runtime.HTTPStatusError
	if errors.As(err, &malformed) {
		err = fault.Malformed("", "The path is malformed.")
	}
	request.WriteError(w, r, err)
}

func writeRoutingError(
	_ context.Context, mux *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int,
) {
	if isProbe(r) {
		return
	}
	if code == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowed(mux, r))
		request.WriteError(w, r, fault.MethodNotAllowed(r.Method, r.URL.Path))
		return
	}
	request.WriteError(w, r, fault.MethodNotFound(r.URL.Path))
}
