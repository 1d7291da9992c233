package endpoint

import (
	"net/http"

	"google.golang.org/grpc"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/openai"
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/request"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Embedding serves POST /v1/embeddings.
type Embedding struct {
	client routerv1.EmbeddingServiceClient
	limits Limits
}

// NewEmbedding makes the endpoint.
func NewEmbedding(conn grpc.ClientConnInterface, limits Limits) *Embedding {
	return &Embedding{routerv1.NewEmbeddingServiceClient(conn), limits}
}

// Serve reads the request once and answers it. An error means that nothing was written yet.
func (e *Embedding) Serve(w http.ResponseWriter, r *http.Request) error {
	body, err := request.ReadBody(w, r)
	if err != nil {
		return err
	}
	ask, err := openai.DecodeEmbeddingRequest(body)
	if err != nil {
		return err
	}
	ctx, cancel, err := request.Outgoing(r, e.limits.Timeout)
	if err != nil {
		return err
	}
	defer cancel()
	response, err := e.client.CreateEmbedding(ctx, &routerv1.CreateEmbeddingRequest{Parameters: ask.Parameters})
	if err != nil {
		return err
	}
	list := response.GetEmbeddings()
	writeJSON(w, openai.AppendEmbeddings(nil, list, ask.Base64), list.GetReceipt())
	return nil
}
