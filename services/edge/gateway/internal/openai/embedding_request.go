package openai

import (
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// EmbeddingRequest is a POST /v1/embeddings.
type EmbeddingRequest struct {
	Parameters *routerv1.EmbeddingParameters
	Base64     bool // vectors as base64 of little-endian float32 instead of arrays of numbers
}

// DecodeEmbeddingRequest reads a request in OpenAI's JSON.
func DecodeEmbeddingRequest(body []byte) (*EmbeddingRequest, error) {
	r := newReader(body)
	request := &EmbeddingRequest{Parameters: &routerv1.EmbeddingParameters{}}
	p := request.Parameters
	err := r.object(func(name string) (err error) {
		switch name {
		case "model":
			p.Model, err = r.text()
		case "input":
			p.Inputs, err = textsOrTokens(r, embeddingText, embeddingTokens)
		case "dimensions":
			p.Dimensions, err = optional(r.uint32)
		case "encoding_format":
			request.Base64, err = r.encodingFormat()
		case "user":
			p.User, err = r.text()
		default:
			err = r.unrecognized()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return request, r.end()
}

func (r reader) encodingFormat() (isBase64 bool, err error) {
	text, err := r.text()
	if err == nil && text != "float" && text != "base64" {
		err = fault.Invalid(r.path(), "%s must be float or base64.", r.path())
	}
	return text == "base64", err
}

func embeddingText(text string) *routerv1.EmbeddingInput {
	return &routerv1.EmbeddingInput{Input: &routerv1.EmbeddingInput_Text{Text: text}}
}

func embeddingTokens(tokens *routerv1.TokenIds) *routerv1.EmbeddingInput {
	return &routerv1.EmbeddingInput{Input: &routerv1.EmbeddingInput_Tokens{Tokens: tokens}}
}
