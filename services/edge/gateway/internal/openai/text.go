package openai

import (
	"unicode/utf8"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// AppendText writes answers, or what is new in them, as OpenAI's "text_completion". In a stream whose caller asked for usage,
// the parts that carry none say "usage": null.
func AppendText(dst []byte, completion *routerv1.Completion, usageAsked bool) []byte {
	w := writer(dst)
	w.text(`{"id":`, completion.GetId())
	w.uint(`,"object":"text_completion","created":`, completion.GetCreated())
	w.text(`,"model":`, completion.GetModel())
	w.textOrNull(`,"system_fingerprint":`, completion.GetSystemFingerprint())
	w.raw(`,"choices":[`)
	for i, choice := range completion.GetChoices() {
		w.uint(opening(i, ``)+`{"index":`, choice.GetIndex())
		w.text(`,"text":`, choice.GetText())
		w.textLogprobs(`,"logprobs":`, choice.GetLogprobs())
		w.textOrNull(`,"finish_reason":`, finishReasons[choice.GetFinishReason()])
		w.raw(`}`)
	}
	w.raw(`]`)
	if usageAsked || completion.GetUsage() != nil {
		w.usage(`,"usage":`, completion.GetUsage())
	}
	w.receipt(completion.GetReceipt())
	w.raw(`}`)
	return w
}

// textLogprobs writes OpenAI's parallel lists, and null when there are none: they were not asked for.
func (w *writer) textLogprobs(name string, tokens []*routerv1.TokenLogprob) {
	w.raw(name)
	if len(tokens) == 0 {
		w.raw(`null`)
		return
	}
	for i, token := range tokens {
		w.text(opening(i, `{"tokens":[`), token.GetToken())
	}
	for i, token := range tokens {
		w.float(opening(i, `],"token_logprobs":[`), token.GetLogprob())
	}
	for i, token := range tokens {
		w.raw(opening(i, `],"top_logprobs":[`))
		w.topLogprobs(token)
	}
	w.offsets(`],"text_offset":[`, tokens)
	w.raw(`]}`)
}

// offsets writes at which character of the text each token begins.
func (w *writer) offsets(name string, tokens []*routerv1.TokenLogprob) {
	var characters uint32
	var begun []byte // of a character whose other bytes are in the tokens that follow
	for i, token := range tokens {
		w.uint(opening(i, name), characters)
		for begun = append(begun, token.GetUtf8()...); utf8.FullRune(begun); characters++ {
			_, size := utf8.DecodeRune(begun)
			begun = begun[size:]
		}
	}
}

// topLogprobs maps the likeliest texts to their log probabilities; of tokens that read alike only the likeliest is there.
// The first token of a text has none.
func (w *writer) topLogprobs(token *routerv1.TokenLogprob) {
	if token.GetLogprob() != token.GetLogprob() {
		w.raw(`null`)
		return
	}
	w.raw(`{`)
	written := map[string]bool{}
	for _, top := range token.GetTop() {
		if !written[top.GetToken()] {
			w.text(opening(len(written), ``), top.GetToken())
			w.float(`:`, top.GetLogprob())
			written[top.GetToken()] = true
		}
	}
	w.raw(`}`)
}
