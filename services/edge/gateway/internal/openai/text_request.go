package openai

import (
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// TextRequest is a POST /v1/completions.
type TextRequest struct {
	Parameters *routerv1.CompletionParameters
	Stream     bool
}

// DecodeTextRequest reads a request in OpenAI's JSON. Values are the router's to judge; here only their types are.
func DecodeTextRequest(body []byte) (*TextRequest, error) {
	r := textReader{newReader(body), &TextRequest{Parameters: &routerv1.CompletionParameters{}}}
	if err := r.object(r.member); err != nil {
		return nil, err
	}
	return r.TextRequest, r.end()
}

type textReader struct {
	reader
	*TextRequest
}

func (t *textReader) member(name string) (err error) {
	p := t.Parameters
	switch name {
	case "model":
		p.Model, err = t.text()
	case "prompt":
		p.Prompts, err = textsOrTokens(t.reader, textPrompt, tokenPrompt)
	case "max_tokens":
		p.MaxTokens, err = optional(t.uint32)
	case "stop":
		p.Stop, err = t.stop()
	case "n":
		p.N, err = optional(t.uint32)
	case "logprobs":
		p.Logprobs, err = optional(t.uint32)
	case "echo":
		p.Echo, err = t.boolean()
	case "stream":
		t.Stream, err = t.boolean()
	case "stream_options":
		p.StreamOptions, err = t.streamOptions()
	case "user":
		p.User, err = t.text()
	case "best_of", "suffix":
		return fault.Unsupported(name, "%s is not served.", name)
	default:
		return t.sampling(name)
	}
	return err
}

// sampling reads the members that steer how tokens are chosen, OpenAI's and those that open engines add.
func (t *textReader) sampling(name string) (err error) {
	p := t.Parameters
	switch name {
	case "temperature":
		p.Temperature, err = optional(t.number)
	case "top_p":
		p.TopP, err = optional(t.number)
	case "presence_penalty":
		p.PresencePenalty, err = optional(t.number)
	case "frequency_penalty":
		p.FrequencyPenalty, err = optional(t.number)
	case "logit_bias":
		p.LogitBias, err = t.logitBias()
	case "seed":
		p.Seed, err = optional(t.int64)
	case "top_k":
		p.TopK, err = optional(t.uint32)
	case "min_p":
		p.MinP, err = optional(t.number)
	case "repetition_penalty":
		p.RepetitionPenalty, err = optional(t.number)
	case "min_tokens":
		p.MinTokens, err = optional(t.uint32)
	case "ignore_eos":
		p.IgnoreEos, err = t.boolean()
	case "priority":
		p.Priority, err = t.int32()
	default:
		if isForm, err := t.form(name, &p.ResponseFormat); isForm {
			return err
		}
		return t.unrecognized()
	}
	return err
}

func textPrompt(text string) *routerv1.CompletionPrompt {
	return &routerv1.CompletionPrompt{Prompt: &routerv1.CompletionPrompt_Text{Text: text}}
}

func tokenPrompt(tokens *routerv1.TokenIds) *routerv1.CompletionPrompt {
	return &routerv1.CompletionPrompt{Prompt: &routerv1.CompletionPrompt_Tokens{Tokens: tokens}}
}
