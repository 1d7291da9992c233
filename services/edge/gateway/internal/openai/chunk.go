package openai

import routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"

// AppendChunk writes the next part of an answer as OpenAI's "chat.completion.chunk". When the caller asked for usage, the
// chunks that carry none say "usage": null, as OpenAI's do.
func AppendChunk(dst []byte, chunk *routerv1.ChatCompletionChunk, usageAsked bool) []byte {
	w := writer(dst)
	w.text(`{"id":`, chunk.GetId())
	w.uint(`,"object":"chat.completion.chunk","created":`, chunk.GetCreated())
	w.text(`,"model":`, chunk.GetModel())
	w.textOrNull(`,"system_fingerprint":`, chunk.GetSystemFingerprint())
	w.raw(`,"choices":[`)
	for i, choice := range chunk.GetChoices() {
		w.raw(opening(i, ``))
		w.choiceDelta(choice)
	}
	w.raw(`]`)
	if usageAsked || chunk.GetUsage() != nil {
		w.usage(`,"usage":`, chunk.GetUsage())
	}
	w.receipt(chunk.GetReceipt())
	w.raw(`}`)
	return w
}

func (w *writer) choiceDelta(choice *routerv1.ChatChoiceDelta) {
	w.uint(`{"index":`, choice.GetIndex())
	w.delta(`,"delta":`, choice)
	w.logprobs(`,"logprobs":`, choice.GetLogprobs())
	w.textOrNull(`,"finish_reason":`, finishReasons[choice.GetFinishReason()])
	w.raw(`}`)
}

// delta writes what is new; an answer's first delta, which says who speaks, has content even if it is empty.
func (w *writer) delta(name string, choice *routerv1.ChatChoiceDelta) {
	w.raw(name)
	w.raw(`{`)
	members := 0
	next := func(name string) string { members++; return opening(members-1, ``) + name }
	if role := roleNames[choice.GetRole()]; role != "" {
		w.text(next(`"role":`), role)
		w.text(next(`"content":`), choice.GetContent())
	} else if choice.GetContent() != "" {
		w.text(next(`"content":`), choice.GetContent())
	}
	if choice.GetRefusal() != "" {
		w.text(next(`"refusal":`), choice.GetRefusal())
	}
	for i, call := range choice.GetToolCalls() {
		if i == 0 {
			w.raw(next(`"tool_calls":[`))
		} else {
			w.raw(`,`)
		}
		w.toolCallDelta(call)
	}
	if len(choice.GetToolCalls()) > 0 {
		w.raw(`]`)
	}
	w.raw(`}`)
}

// toolCallDelta writes id and name in a call's first part only.
func (w *writer) toolCallDelta(call *routerv1.ToolCallDelta) {
	w.uint(`{"index":`, call.GetIndex())
	if call.GetId() != "" {
		w.text(`,"id":`, call.GetId())
		w.raw(`,"type":"function"`)
	}
	w.raw(`,"function":{`)
	if call.GetName() != "" {
		w.text(`"name":`, call.GetName())
		w.raw(`,`)
	}
	w.text(`"arguments":`, call.GetArguments())
	w.raw(`}}`)
}
