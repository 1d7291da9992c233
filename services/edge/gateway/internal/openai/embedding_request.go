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
			p.Inputs, err = r.embeddingInputs()
		case "dimensions":
			p.Dimensions, err = optional(r.uint32)
		case "encoding_format":
			request.Base64, err = r.encodingFormat()
		case "user":
			p.User, err = r.text()
		default:
			err = r.skip()
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

// embeddingInputs reads a string, an array of strings, an array of token ids, or an array of arrays of token ids.
func (r reader) embeddingInputs() ([]*routerv1.EmbeddingInput, error) {
	switch r.dec.PeekKind() {
	case '"':
		input, err := r.embeddingInput()
		return []*routerv1.EmbeddingInput{input}, err
	case '[':
		return r.embeddingInputArray()
	}
	return nil, r.unexpected("a string or an array")
}

// embeddingInputArray reads an array that is one input if it holds token ids, else an input for each element.
func (r reader) embeddingInputArray() ([]*routerv1.EmbeddingInput, error) {
	var inputs []*routerv1.EmbeddingInput
	var tokens []uint32
	err := r.array(func() error {
		if r.dec.PeekKind() == '0' && inputs == nil {
			id, err := r.uint32()
			tokens = append(tokens, id)
			return err
		}
		if tokens != nil {
			return r.unexpected("a token id like those before it")
		}
		input, err := r.embeddingInput()
		inputs = append(inputs, input)
		return err
	})
	if tokens != nil {
		inputs = []*routerv1.EmbeddingInput{tokenInput(tokens)}
	}
	return inputs, err
}

func (r reader) embeddingInput() (*routerv1.EmbeddingInput, error) {
	switch r.dec.PeekKind() {
	case '"':
		text, err := r.text()
		return &routerv1.EmbeddingInput{Input: &routerv1.EmbeddingInput_Text{Text: text}}, err
	case '[':
		tokens, err := list(r, r.uint32)
		return tokenInput(tokens), err
	}
	return nil, r.unexpected("a string or an array of token ids")
}

func tokenInput(ids []uint32) *routerv1.EmbeddingInput {
	return &routerv1.EmbeddingInput{Input: &routerv1.EmbeddingInput_Tokens{Tokens: &routerv1.TokenIds{Ids: ids}}}
}
