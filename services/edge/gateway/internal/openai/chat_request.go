package openai

import (
	"strconv"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// ChatRequest is a POST /v1/chat/completions.
type ChatRequest struct {
	Parameters *routerv1.ChatCompletionParameters
	Stream     bool
}

// DecodeChatRequest reads a request in OpenAI's JSON. Values are the router's to judge; here only their types are.
func DecodeChatRequest(body []byte) (*ChatRequest, error) {
	r := newReader(body)
	request := chatReader{reader: r, ChatRequest: &ChatRequest{Parameters: &routerv1.ChatCompletionParameters{}}}
	if err := r.object(request.member); err != nil {
		return nil, err
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	p := request.Parameters
	if p.MaxCompletionTokens == nil {
		p.MaxCompletionTokens = request.maxTokens
	}
	if p.User == "" {
		p.User = request.safetyIdentifier
	}
	return request.ChatRequest, nil
}

// chatReader keeps besides the request what newer members override.
type chatReader struct {
	reader
	*ChatRequest
	maxTokens        *uint32 // the older name of max_completion_tokens
	safetyIdentifier string  // the newer name of user
}

func (c *chatReader) member(name string) (err error) {
	p := c.Parameters
	switch name {
	case "model":
		p.Model, err = c.text()
	case "messages":
		p.Messages, err = list(c.reader, c.message)
	case "stream":
		c.Stream, err = c.boolean()
	case "stream_options":
		p.StreamOptions, err = c.streamOptions()
	case "max_completion_tokens":
		p.MaxCompletionTokens, err = optional(c.uint32)
	case "max_tokens":
		c.maxTokens, err = optional(c.uint32)
	case "stop":
		p.Stop, err = c.stop()
	case "n":
		p.N, err = optional(c.uint32)
	case "user":
		p.User, err = c.text()
	case "safety_identifier":
		c.safetyIdentifier, err = c.text()
	case "metadata":
		p.Metadata, err = c.labels()
	case "reasoning_effort":
		p.ReasoningEffort, err = c.text()
	case "logprobs":
		p.Logprobs, err = c.boolean()
	case "top_logprobs":
		p.TopLogprobs, err = optional(c.uint32)
	default:
		return c.sampling(name)
	}
	return err
}

// sampling reads the members that steer how tokens are chosen, OpenAI's and those that open engines add.
func (c *chatReader) sampling(name string) (err error) {
	p := c.Parameters
	switch name {
	case "temperature":
		p.Temperature, err = optional(c.number)
	case "top_p":
		p.TopP, err = optional(c.number)
	case "presence_penalty":
		p.PresencePenalty, err = optional(c.number)
	case "frequency_penalty":
		p.FrequencyPenalty, err = optional(c.number)
	case "logit_bias":
		p.LogitBias, err = c.logitBias()
	case "seed":
		p.Seed, err = optional(c.int64)
	case "top_k":
		p.TopK, err = optional(c.uint32)
	case "min_p":
		p.MinP, err = optional(c.number)
	case "repetition_penalty":
		p.RepetitionPenalty, err = optional(c.number)
	case "min_tokens":
		p.MinTokens, err = optional(c.uint32)
	case "ignore_eos":
		p.IgnoreEos, err = c.boolean()
	default:
		if isForm, err := c.form(name, &p.ResponseFormat); isForm {
			return err
		}
		return c.toolsAndOurs(name)
	}
	return err
}

// toolsAndOurs reads tools and what Penstock adds, passes over what is of no consequence for the answer, and refuses the rest.
func (c *chatReader) toolsAndOurs(name string) (err error) {
	p := c.Parameters
	switch name {
	case "tools":
		p.Tools, err = list(c.reader, c.tool)
	case "tool_choice":
		p.ToolChoice, err = c.toolChoice()
	case "parallel_tool_calls":
		p.ParallelToolCalls, err = optional(c.boolean)
	case "cache_control":
		p.CacheControl, err = c.cacheControl()
	case "priority":
		p.Priority, err = c.int32()
	case "functions", "function_call":
		return fault.Unsupported(name, "%s is deprecated and not served; use tools and tool_choice.", name)
	case "audio", "verbosity", "web_search_options":
		return fault.Unsupported(name, "%s is not served.", name)
	case "modalities":
		return c.modalities()
	case "store", "service_tier", "prediction", "prompt_cache_key", "prompt_cache_retention":
		return c.skip()
	default:
		return c.unrecognized()
	}
	return err
}

func (c *chatReader) modalities() error {
	modalities, err := list(c.reader, c.text)
	if err != nil {
		return err
	}
	for i, modality := range modalities {
		if modality != "text" {
			return fault.Unsupported("modalities["+strconv.Itoa(i)+"]", "Answers are text only.")
		}
	}
	return nil
}

func (c *chatReader) cacheControl() (*routerv1.CacheControl, error) {
	control := &routerv1.CacheControl{}
	return control, c.object(func(name string) (err error) {
		switch name {
		case "no_cache":
			control.NoCache, err = c.boolean()
		case "no_store":
			control.NoStore, err = c.boolean()
		case "max_age_seconds":
			control.MaxAgeSeconds, err = c.uint32()
		case "semantic":
			control.Semantic, err = optional(c.boolean)
		case "ttl_seconds":
			control.TtlSeconds, err = c.uint32()
		case "tags":
			control.Tags, err = list(c.reader, c.text)
		case "scope":
			control.Scope, err = c.cacheScope()
		case "prompt_version":
			control.PromptVersion, err = c.text()
		case "locale":
			control.Locale, err = c.text()
		default:
			err = c.unrecognized()
		}
		return err
	})
}

var cacheScopes = map[string]routerv1.CacheScope{
	"user":         routerv1.CacheScope_CACHE_SCOPE_USER,
	"team":         routerv1.CacheScope_CACHE_SCOPE_TEAM,
	"organization": routerv1.CacheScope_CACHE_SCOPE_ORGANIZATION,
}

func (c *chatReader) cacheScope() (routerv1.CacheScope, error) {
	text, err := c.text()
	if err != nil {
		return 0, err
	}
	scope, known := cacheScopes[text]
	if !known {
		return 0, fault.Invalid(c.path(), "%s must be user, team or organization.", c.path())
	}
	return scope, nil
}

func (c *chatReader) labels() (map[string]string, error) {
	labels := map[string]string{}
	return labels, c.object(func(name string) (err error) {
		labels[name], err = c.text()
		return err
	})
}
