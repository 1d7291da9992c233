package endpoint

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/openai"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Text serves POST /v1/completions.
type Text = Generation[*routerv1.CompletionParameters, routerv1.StreamCompletionResponse]

// NewText makes the endpoint.
func NewText(conn grpc.ClientConnInterface, limits Limits, events Events) *Text {
	client := routerv1.NewCompletionServiceClient(conn)
	return &Text{
		decode: func(body []byte, _ http.Header) (*routerv1.CompletionParameters, bool, error) {
			text, err := openai.DecodeTextRequest(body)
			if err != nil {
				return nil, false, err
			}
			return text.Parameters, text.Stream, nil
		},
		create: func(ctx context.Context, p *routerv1.CompletionParameters) ([]byte, *routerv1.Receipt, error) {
			response, err := client.CreateCompletion(ctx, &routerv1.CreateCompletionRequest{Parameters: p})
			completion := response.GetCompletion()
			return openai.AppendText(nil, completion, false), completion.GetReceipt(), err
		},
		open: func(ctx context.Context, p *routerv1.CompletionParameters) (
			grpc.ServerStreamingClient[routerv1.StreamCompletionResponse], error,
		) {
			return client.StreamCompletion(ctx, &routerv1.StreamCompletionRequest{Parameters: p})
		},
		append: func(dst []byte, part *routerv1.StreamCompletionResponse, p *routerv1.CompletionParameters) []byte {
			return openai.AppendText(dst, part.GetPart(), p.GetStreamOptions().GetIncludeUsage())
		},
		rates: func(first *routerv1.StreamCompletionResponse) []*billingv1.RateLimit {
			return first.GetPart().GetRateLimits()
		},
		limits: limits,
		events: events,
	}
}
