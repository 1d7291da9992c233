// Package endpoint serves the two paths whose JSON is OpenAI's own.
package endpoint

import (
	"net/http"
	"time"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/openai"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/session"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Limits bound one request.
type Limits struct {
	Timeout time.Duration // from the request's first byte to the answer's last
	Stall   time.Duration // longest that the caller may take to accept one event of a stream
}

// Chat serves POST /v1/chat/completions.
type Chat struct {
	client routerv1.ChatCompletionServiceClient
	limits Limits
	events Events
}

// NewChat makes the endpoint.
func NewChat(conn grpc.ClientConnInterface, limits Limits, events Events) *Chat {
	return &Chat{routerv1.NewChatCompletionServiceClient(session.New(conn)), limits, events}
}

// Serve reads the request once and answers it whole or as a stream. An error means that nothing was written yet.
func (c *Chat) Serve(w http.ResponseWriter, r *http.Request) error {
	body, err := request.ReadBody(w, r)
	if err != nil {
		return err
	}
	chat, err := openai.DecodeChatRequest(body)
	if err != nil {
		return err
	}
	ctx, cancel, err := request.Outgoing(r, c.limits.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	call := r.WithContext(ctx)
	if chat.Stream {
		return c.stream(w, call, chat.Parameters)
	}
	return c.answer(w, call, chat.Parameters)
}

func (c *Chat) answer(w http.ResponseWriter, r *http.Request, parameters *routerv1.ChatCompletionParameters) error {
	ask := &routerv1.CreateChatCompletionRequest{Parameters: parameters}
	response, err := c.client.CreateChatCompletion(r.Context(), ask)
	if err != nil {
		return err
	}
	completion := response.GetChatCompletion()
	writeJSON(w, openai.AppendCompletion(nil, completion), completion.GetReceipt())
	return nil
}

// stream waits for the first part before it writes anything, so that a failure until then has its true HTTP code.
func (c *Chat) stream(w http.ResponseWriter, r *http.Request, parameters *routerv1.ChatCompletionParameters) error {
	ask := &routerv1.StreamChatCompletionRequest{Parameters: parameters}
	parts, err := c.client.StreamChatCompletion(r.Context(), ask)
	if err != nil {
		return err
	}
	first, err := parts.Recv()
	if err != nil {
		return noFirst(err)
	}
	sink := newEventSink(w, c.limits.Stall)
	c.relay(r, sink, parts, first, parameters.GetStreamOptions().GetIncludeUsage())
	return nil
}
