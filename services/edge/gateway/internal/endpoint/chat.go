// Package endpoint serves the paths whose JSON is OpenAI's own.
package endpoint

import (
	"context"
	"net/http"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/openai"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/session"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Chat serves POST /v1/chat/completions.
type Chat = Generation[*routerv1.ChatCompletionParameters, routerv1.StreamChatCompletionResponse]

// NewChat makes the endpoint.
func NewChat(conn grpc.ClientConnInterface, limits Limits, events Events) *Chat {
	client := routerv1.NewChatCompletionServiceClient(session.New(conn))
	return &Chat{
		decode: func(body []byte, header http.Header) (*routerv1.ChatCompletionParameters, bool, error) {
			chat, err := openai.DecodeChatRequest(body)
			if err != nil {
				return nil, false, err
			}
			heedCacheControl(chat.Parameters, header)
			return chat.Parameters, chat.Stream, nil
		},
		create: func(ctx context.Context, p *routerv1.ChatCompletionParameters) ([]byte, *routerv1.Receipt, error) {
			response, err := client.CreateChatCompletion(ctx, &routerv1.CreateChatCompletionRequest{Parameters: p})
			completion := response.GetChatCompletion()
			return openai.AppendCompletion(nil, completion), completion.GetReceipt(), err
		},
		open: func(ctx context.Context, p *routerv1.ChatCompletionParameters) (
			grpc.ServerStreamingClient[routerv1.StreamChatCompletionResponse], error,
		) {
			return client.StreamChatCompletion(ctx, &routerv1.StreamChatCompletionRequest{Parameters: p})
		},
		append: func(dst []byte, part *routerv1.StreamChatCompletionResponse, p *routerv1.ChatCompletionParameters) []byte {
			return openai.AppendChunk(dst, part.GetChunk(), p.GetStreamOptions().GetIncludeUsage())
		},
		rates: func(first *routerv1.StreamChatCompletionResponse) []*billingv1.RateLimit {
			return first.GetChunk().GetRateLimits()
		},
		limits: limits,
		events: events,
	}
}
