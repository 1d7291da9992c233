package openai

import (
	"strings"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

var finishReasons = map[routerv1.FinishReason]string{
	routerv1.FinishReason_FINISH_REASON_STOP:           "stop",
	routerv1.FinishReason_FINISH_REASON_LENGTH:         "length",
	routerv1.FinishReason_FINISH_REASON_TOOL_CALLS:     "tool_calls",
	routerv1.FinishReason_FINISH_REASON_CONTENT_FILTER: "content_filter",
}

var roleNames = map[routerv1.ChatRole]string{
	routerv1.ChatRole_CHAT_ROLE_SYSTEM:    "system",
	routerv1.ChatRole_CHAT_ROLE_DEVELOPER: "developer",
	routerv1.ChatRole_CHAT_ROLE_USER:      "user",
	routerv1.ChatRole_CHAT_ROLE_ASSISTANT: "assistant",
	routerv1.ChatRole_CHAT_ROLE_TOOL:      "tool",
}

// AppendCompletion writes a whole answer as OpenAI's "chat.completion".
func AppendCompletion(dst []byte, completion *routerv1.ChatCompletion) []byte {
	w := writer(dst)
	w.text(`{"id":`, completion.GetId())
	w.uint(`,"object":"chat.completion","created":`, completion.GetCreated())
	w.text(`,"model":`, completion.GetModel())
	w.raw(`,"choices":[`)
	for i, choice := range completion.GetChoices() {
		w.raw(opening(i, ``))
		w.choice(choice)
	}
	w.usage(`],"usage":`, completion.GetUsage())
	w.textOrNull(`,"system_fingerprint":`, completion.GetSystemFingerprint())
	w.receipt(completion.GetReceipt())
	w.raw(`}`)
	return w
}

func (w *writer) choice(choice *routerv1.ChatChoice) {
	w.uint(`{"index":`, choice.GetIndex())
	w.message(`,"message":`, choice.GetMessage())
	w.logprobs(`,"logprobs":`, choice.GetLogprobs())
	w.textOrNull(`,"finish_reason":`, finishReasons[choice.GetFinishReason()])
	w.raw(`}`)
}

func (w *writer) message(name string, message *routerv1.ChatMessage) {
	w.raw(name)
	w.text(`{"role":`, roleNames[message.GetRole()])
	if message.GetContent() == nil {
		w.raw(`,"content":null`)
	} else {
		w.text(`,"content":`, plainText(message))
	}
	if message.Refusal == nil {
		w.raw(`,"refusal":null`)
	} else {
		w.text(`,"refusal":`, message.GetRefusal())
	}
	for i, call := range message.GetToolCalls() {
		w.raw(opening(i, `,"tool_calls":[`))
		w.text(`{"id":`, call.GetId())
		w.text(`,"type":"function","function":{"name":`, call.GetFunction().GetName())
		w.text(`,"arguments":`, call.GetFunction().GetArguments())
		w.raw(`}}`)
	}
	if len(message.GetToolCalls()) > 0 {
		w.raw(`]`)
	}
	w.raw(`}`)
}

// plainText joins the texts of an answer in parts: OpenAI's answers are one string.
func plainText(message *routerv1.ChatMessage) string {
	if message.GetParts() == nil {
		return message.GetText()
	}
	var text strings.Builder
	for _, part := range message.GetParts().GetParts() {
		text.WriteString(part.GetText())
	}
	return text.String()
}

// logprobs writes null when there are none: they were not asked for.
func (w *writer) logprobs(name string, tokens []*routerv1.TokenLogprob) {
	w.raw(name)
	if len(tokens) == 0 {
		w.raw(`null`)
		return
	}
	for i, token := range tokens {
		w.raw(opening(i, `{"content":[`))
		w.tokenLogprob(token)
		w.raw(`,"top_logprobs":[`)
		for j, top := range token.GetTop() {
			w.raw(opening(j, ``))
			w.tokenLogprob(top)
			w.raw(`}`)
		}
		w.raw(`]}`)
	}
	w.raw(`],"refusal":null}`)
}

// tokenLogprob leaves its object open.
func (w *writer) tokenLogprob(token *routerv1.TokenLogprob) {
	w.text(`{"token":`, token.GetToken())
	w.float(`,"logprob":`, token.GetLogprob())
	w.raw(`,"bytes":[`)
	for i, b := range token.GetUtf8() {
		w.uint(opening(i, ``), uint32(b))
	}
	w.raw(`]`)
}

// opening is what stands before element i of a list.
func opening(i int, first string) string {
	if i == 0 {
		return first
	}
	return `,`
}
